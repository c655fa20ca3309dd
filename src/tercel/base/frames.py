"""Columns handed out: as a pandas DataFrame, an Arrow table, or plain NumPy arrays by name. pandas is an extra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, MissingExtra

Kind = Literal["pandas", "arrow", "numpy"]
KINDS: Final = ("pandas", "arrow", "numpy")


def frame(columns: Mapping[str, npt.NDArray[Any]], kind: Kind = "pandas") -> Any:
    """The columns (one dimension, equal lengths) as "pandas", "arrow" or "numpy" (a dict of the arrays).

    Raises `ConfigError` for another kind and `MissingExtra` where pandas is not installed.
    """
    if kind == "numpy":
        return dict(columns)
    if kind == "arrow":
        import pyarrow as pa

        return pa.table({name: pa.array(values) for name, values in columns.items()})
    if kind != "pandas":
        raise ConfigError(f"frame: expected one of {', '.join(KINDS)}, found {kind!r}")
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra('pandas is not installed; pip install \'tercel[pandas]\', or ask for "arrow" or "numpy"') from None
    return pd.DataFrame(dict(columns))


def instants(ns: npt.NDArray[Any]) -> npt.NDArray[np.datetime64]:
    """int64 ns since 1970 UTC as datetime64[ns]."""
    times: npt.NDArray[np.datetime64] = np.ascontiguousarray(ns).astype(np.int64).astype("M8[ns]")
    return times
