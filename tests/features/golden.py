"""The golden vectors of the opcodes, in `tests/golden/opcodes.json`: a small input and, to the bit, what each opcode makes of it.

They are the promise behind an opcode's version: equal version, equal numbers, in every release and every engine. After a wanted change
raise the version in `@opcode(...)` and run `python -m tests.features.golden`; it refuses to replace a vector whose version has not risen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.features.judges import JUDGES, Column
from tests.features.running import inputs, run

FILE = Path(__file__).resolve().parents[1] / "golden" / "opcodes.json"
ROWS = 64
PARAMETERS = {"sma": (5,), "ema": (5,), "rsi": (5,), "returns": (3,), "volatility": (5,)} | {
    "wma": (5,),
    "macd": (3, 6, 4),
    "bollinger": (5, 2.5),
    "zscore": (5,),
    "roc": (3,),
    "rsi_simple": (5,),
    "stoch_rsi": (5, 4, 3),
    "rolling_min": (5,),
    "rolling_max": (5,),
    "donchian": (5,),
    "atr": (5,),
    "volume_ratio": (5,),
    "order_flow": (5,),
    "log_return": (3,),
    "lag": (3,),
    "resample": (120, 3),
}
SOURCE = (
    "Row k of 64: s = (1103515245 * s + 12345) mod 2**31, s = 1 before row 0; level = level + s // 65536 mod 41 - 20, level = 0 before; "
    "bid = (138000 + level) / 100000, ask = (138000 + level + 3 + s // 65536 mod 97) / 100000. Rows 20 and 21 and, of the ask only, row 33 "
    "are NaN; rows 40 to 47 repeat row 39. Inputs by name: bid and low are the bid, ask and high the ask, "
    "bid_size is 1 + 7 k mod 13, ask_size 1 + 5 k mod 17, flow 31 k mod 23 - 11, time 1699999980 + 60 (k + 3 (k // 5) + 700 (k // 4)), "
    "unknown where the bid, the ask or either is; any other is bid * 0.5 + ask * 0.5. Of several outputs each is a list."
)


def quotes() -> tuple[Column, Column]:
    """(bid, ask) by the formula in `SOURCE`."""
    bid, ask = np.empty(ROWS), np.empty(ROWS)
    s, level = 1, 0
    for k in range(ROWS):
        s = (1103515245 * s + 12345) % 2**31
        level += s // 65536 % 41 - 20
        bid[k], ask[k] = (138000 + level) / 100000, (138000 + level + 3 + s // 65536 % 97) / 100000
    bid[20:22], ask[20:22], ask[33] = np.nan, np.nan, np.nan
    bid[40:48], ask[40:48] = bid[39], ask[39]
    return bid, ask


def vector(op: str, mode: str = "compiled") -> list[Any]:
    """What an opcode makes of the golden input, as hexadecimal floats; a list for each output where there are several."""
    made = run(op, PARAMETERS.get(op, ()), inputs(op, *quotes()), mode=mode)
    outputs = [[float(value).hex() for value in column] for column in np.atleast_2d(made)]
    return outputs if len(outputs) > 1 else outputs[0]


def stored() -> dict[str, Any]:
    """The vectors on disk, by opcode."""
    return json.loads(FILE.read_text())["opcodes"] if FILE.exists() else {}  # type: ignore[no-any-return]


def write() -> str:
    """Write the vectors of all opcodes; returns what was refused, "" when all is well."""
    from tercel.features.opcodes import OPCODES

    known, made = stored(), {}
    for op in JUDGES:
        made[op] = {"version": OPCODES[op].version, "parameters": PARAMETERS.get(op, ()), "output": vector(op)}
        before, after = known.get(op, made[op]), made[op]
        if before["output"] != after["output"] and after["version"] <= before["version"]:
            return f"{op}: expected a version above {before['version']} with a new vector; raise it in @opcode(...)"
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text(made))
    return ""


def text(made: dict[str, Any]) -> str:
    """The file as JSON, an opcode a line."""
    lines = ",\n".join(f"  {json.dumps(op)}: {json.dumps(one)}" for op, one in made.items())
    return f'{{\n "source": {json.dumps(SOURCE)},\n "licence": "Apache-2.0",\n "opcodes": {{\n{lines}\n }}\n}}\n'


if __name__ == "__main__":
    sys.exit(write())
