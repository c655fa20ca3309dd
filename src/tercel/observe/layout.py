"""The layout of the live view: one header and its sections, each a NumPy dtype. A change of any of them changes `LAYOUT_HASH`.

Writer and reader refuse to meet when their hashes differ, so the desk and the trader must come from the same version.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tercel.base.histogram import Histogram
from tercel.base.records import OUTPUT

Section: TypeAlias = npt.NDArray[Any]

CANDLES_MAX: Final = 256
OUTPUTS_MAX: Final = 1024
REASONS_MAX: Final = 64
INPUT_KINDS_MAX: Final = 40
PROBLEM_BYTES: Final = 160

HEADER_BYTES: Final = 64
MAGIC, LAYOUT, BYTES, INSTRUMENTS, STAGE_COUNT, SEQUENCE = 0, 1, 2, 3, 4, 7  # words of the header
MAGIC_WORD: Final = int.from_bytes(b"TERCLIVE", "little")

STATUS: Final = np.dtype([
    ("started_ns", "<i8"), ("core_time_ns", "<i8"),
    ("wall_ns", "<i8"),  # wall clock of this publication
    ("data_age_ns", "<i8"),  # age of the newest market input at this publication
    ("input_number", "<i8"), ("publishes", "<i8"), ("late_ticks", "<i8"), ("dropped", "<i8"), ("epoch", "<i8"),
    ("orders", "<i8"), ("fills", "<i8"), ("denied", "<i8"), ("outputs", "<i8"), ("pid", "<i8"), ("candle_ns", "<i8"),
    ("inputs", "<i8", (INPUT_KINDS_MAX,)),  # inputs per kind of record
    ("feed_gaps", "<i8"), ("feed_dropped", "<i8"), ("feed_reconnects", "<i8"),  # of the feed since its start
    ("feed_problem", f"S{PROBLEM_BYTES}"),  # what it last failed at, in words; empty while all is well
    ("halted", "u1"), ("rewarmed", "u1"), ("mode", "S14"), ("state", "S16"), ("feed_state", "S16"), ("feed", "S48"), ("account", "S32"),
])  # fmt: skip
INSTRUMENT: Final = np.dtype([
    ("bid", "<f8"), ("ask", "<f8"), ("bid_size", "<f8"), ("ask_size", "<f8"), ("mark", "<f8"),
    ("quote_ns", "<i8"),  # ts_event of the last quote: data
    ("quote_wall_ns", "<i8"),  # wall clock at which it arrived: its age is counted from here; 0 = none yet
    ("position", "<i8"),  # in 10^-size_decimals
    ("cash_micros", "<i8"), ("fees_micros", "<i8"), ("pnl_micros", "<i8"), ("open_orders", "<i8"),
    ("candles", "<i8"),  # running count; the newest lies at (candles - 1) % CANDLES_MAX
    ("id", "<i8"), ("lot", "<i8"), ("price_decimals", "<i8"), ("size_decimals", "<i8"), ("currency", "S8"), ("name", "S32"),
])  # fmt: skip
CANDLE: Final = np.dtype([("ts_open", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8"), ("volume", "<f8")])
STAGE: Final = np.dtype([("name", "S16"), ("budget_us", "<f8"), ("asked_ms", "<f8")])


def layout(instruments: int, stages: int) -> dict[str, tuple[int, np.dtype[Any], tuple[int, ...]]]:
    """Section name -> (offset in bytes, dtype, shape); each starts on a cache line. "end" gives the size of the file."""
    wanted: list[tuple[str, np.dtype[Any], tuple[int, ...]]] = [
        ("status", STATUS, (1,)),
        ("instruments", INSTRUMENT, (instruments,)),
        ("candles", CANDLE, (instruments, CANDLES_MAX)),
        ("outputs", OUTPUT, (OUTPUTS_MAX,)),
        ("reasons", np.dtype("<i8"), (instruments, REASONS_MAX)),
        ("reason_names", np.dtype("S32"), (REASONS_MAX,)),
        ("stages", STAGE, (stages,)),
        ("histograms", np.dtype("<i8"), (stages, Histogram.SIZE)),
    ]
    sections: dict[str, tuple[int, np.dtype[Any], tuple[int, ...]]] = {}
    offset = HEADER_BYTES
    for name, dtype, shape in wanted:
        sections[name] = (offset, dtype, shape)
        offset += -(-dtype.itemsize * int(np.prod(shape)) // 64) * 64
    sections["end"] = (offset, np.dtype("u1"), (0,))
    return sections


def _layout_hash() -> int:
    words = [(name, dtype.descr, shape) for name, (_, dtype, shape) in layout(1, 1).items()]
    return int.from_bytes(hashlib.blake2b(repr(words).encode(), digest_size=7).digest(), "little")


LAYOUT_HASH: Final = _layout_hash()


def views(memory: Section, instruments: int, stages: int) -> dict[str, Section]:
    """Section name -> array on `memory` (uint8[size]), no copy."""
    found = {}
    for name, (offset, dtype, shape) in layout(instruments, stages).items():
        end = offset + dtype.itemsize * int(np.prod(shape))
        found[name] = memory[offset:end].view(dtype).reshape(shape)
    return found
