"""Options that several verbs have, each with its one text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

SettingsFile = Annotated[Path | None, Parameter(help="A settings file; by default tercel.toml in the working folder, else the defaults.")]
StrategyClass = Annotated[str | None, Parameter(help="A strategy written in Python, as module:Class.")]
TrainedModel = Annotated[
    str | None, Parameter(help="A trained model, as name, name@version or name@stage; `tercel models list` shows them.")
]
BarsOf = Annotated[
    str | None,
    Parameter(help="Take features on these bars, such as 1m, 100t (ticks) or 5000v (volume), instead of what the settings say."),
]
PriceOf = Annotated[str | None, Parameter(help="Build bars from this price: mid, bid, ask or trade.")]
