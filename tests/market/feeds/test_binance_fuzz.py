"""Damaged frames of every kind: nothing raises, each is accounted for, and no row is illegal."""

from __future__ import annotations

import os

from tests.market.feeds import fuzz_frames

FRAMES = int(os.environ.get("TERCEL_FUZZ_FRAMES", "30000"))


def test_damaged_frames_give_legal_rows_or_none() -> None:
    """All ways of damage are met, and among the damaged some pass as messages: those are legal too."""
    told = fuzz_frames.run(FRAMES, 20_261_124)
    assert {"bad_json", "bad_shape", "bad_number", "bad_id", "bad_time", "unknown_symbol", "unknown_stream", "duplicate"} <= set(told)
    assert told["with rows"] > FRAMES // 100
    assert told["bad_json"] > FRAMES // 10
