"""The live view: what is written is read, whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tercel.base.codes import NAMES
from tercel.base.errors import DataError, NotRunning
from tercel.base.records import OUT_FILL, OUTPUT, Records
from tercel.observe.layout import CANDLES_MAX, OUTPUTS_MAX
from tercel.observe.live import LiveReader, LiveWriter, TornFrame
from tercel.observe.stages import STAGE_NAMES, STAGES, TOTAL
from tests.observe.views import PAIRS

# A trader that publishes as fast as it can: every field of a frame says the same number. It ends with its input.
HAMMER = """
import select, sys
from pathlib import Path
from tercel.observe.live import LiveWriter
from tests.observe.views import PAIRS
writer = LiveWriter.create(Path(sys.argv[1]), PAIRS)
print("ready", flush=True)
number = 0
while True:
    number += 1
    writer.begin()
    for name in ("position", "cash_micros", "fees_micros", "pnl_micros"):
        writer.instruments[name] = number
    writer.status["input_number"] = number
    writer.reasons[:] = number
    writer.candle(0, number, *[float(number)] * 5)
    writer.status["orders"] = number
    writer.end()
    if number % 64 == 0 and select.select([sys.stdin], [], [], 0.0002)[0]:
        break
"""


def outputs(first: int, count: int) -> Records:
    """Fills numbered from `first`."""
    records = np.zeros(count, OUTPUT)
    records["kind"] = OUT_FILL
    records["execution"] = np.arange(first, first + count)
    return records


def test_what_is_written_is_read(run_folder: Path) -> None:
    """A reader finds every section as the writer left it."""
    writer = LiveWriter.create(run_folder / "live.map", PAIRS, reason_names=NAMES, mode="PAPER", account="a", feed="f")
    writer.begin()
    writer.instruments["bid"][:] = (1.08412, 156.214)
    writer.reasons[1, 5] = 12
    writer.candle(0, 60, 1.0, 3.0, 0.5, 2.0, 10.0)
    writer.push_outputs(outputs(1, 3))
    writer.status["state"] = b"running"
    writer.end(wall=123)
    writer.histograms[TOTAL].record(7_000)
    frame = LiveReader(run_folder / "live.map").read()
    assert frame.instruments["bid"].tolist() == [1.08412, 156.214]
    assert np.isnan(frame.instruments["ask"]).all()
    assert frame.instruments["name"].tolist() == [b"EURUSD@oanda", b"USDJPY@oanda"]
    assert frame.instruments["id"].tolist() == [7, 9]
    assert frame.reasons[1, 5] == 12
    assert frame.reason_names == NAMES
    assert frame.candles_of(0).tolist() == [(60, 1.0, 3.0, 0.5, 2.0, 10.0)]
    assert frame.outputs_since(0)[0]["execution"].tolist() == [1, 2, 3]
    assert (frame.status["state"], frame.status["mode"], frame.status["wall_ns"]) == (b"running", b"PAPER", 123)
    assert frame.histogram(TOTAL).percentile(50) == 7_000
    assert tuple(name.decode() for name in frame.stages["name"].tolist()) == STAGE_NAMES


def test_a_frame_does_not_change_afterwards(run_folder: Path) -> None:
    """What a reader holds is a copy: a later publication leaves it alone."""
    writer = LiveWriter.create(run_folder / "live.map", PAIRS)
    reader = LiveReader(run_folder / "live.map")
    first = reader.read()
    writer.begin()
    writer.status["orders"] = 5
    writer.end()
    assert first.status["orders"] == 0
    assert reader.read().status["orders"] == 5


def test_candles_replace_append_and_never_go_back(run_folder: Path) -> None:
    """The newest candle is replaced, a later one appended, an earlier one ignored; 256 are kept, oldest first."""
    writer = LiveWriter.create(run_folder / "live.map", PAIRS)
    writer.begin()
    for minute in range(300):
        writer.candle(1, minute, 1.0, 1.0, 1.0, float(minute), 1.0)
        writer.candle(1, minute, 1.0, 1.0, 1.0, float(minute) + 0.5, 1.0)
    writer.candle(1, 7, 9.0, 9.0, 9.0, 9.0, 9.0)
    writer.end()
    frame = LiveReader(run_folder / "live.map").read()
    rows = frame.candles_of(1)
    assert rows["ts_open"].tolist() == list(range(300 - CANDLES_MAX, 300))
    assert rows["close"].tolist() == [minute + 0.5 for minute in range(300 - CANDLES_MAX, 300)]
    assert int(frame.instruments["candles"][1]) == 300
    assert len(frame.candles_of(0)) == 0


@pytest.mark.parametrize("sizes", [(3,), (1000, 24, 1), (700, 700), (5000,), (1024, 1024, 10)])
def test_the_ring_keeps_the_newest_outputs_and_counts_the_rest(run_folder: Path, sizes: tuple[int, ...]) -> None:
    """After any sequence of pushes the last 1,024 outputs are there in order, and a late reader learns how many it missed."""
    writer = LiveWriter.create(run_folder / "live.map", PAIRS)
    total = 0
    for size in sizes:
        writer.begin()
        writer.push_outputs(outputs(total, size))
        writer.end()
        total += size
    frame = LiveReader(run_folder / "live.map").read()
    held, missed = frame.outputs_since(0)
    assert held["execution"].tolist() == list(range(max(total - OUTPUTS_MAX, 0), total))
    assert missed == max(total - OUTPUTS_MAX, 0)
    assert len(frame.outputs_since(total - 2)[0]) == 2
    assert len(frame.outputs_since(total)[0]) == 0


def test_a_reader_in_another_process_never_sees_half(run_folder: Path) -> None:
    """While a writer publishes without a pause, every frame that is read agrees with itself; a failure is said, not shown."""
    view = run_folder / "live.map"
    writer = subprocess.Popen([sys.executable, "-c", HAMMER, str(view)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin is not None
    assert writer.stdout is not None
    seen: set[int] = set()
    try:
        assert writer.stdout.readline() == b"ready\n"
        reader = LiveReader(view)
        for _ in range(20_000):
            try:
                frame = reader.read(timeout_s=0.2)
            except TornFrame:
                continue
            numbers = {int(frame.status[name]) for name in ("input_number", "orders", "publishes")}
            numbers.update(frame.instruments[["position", "cash_micros", "fees_micros", "pnl_micros"]].tolist()[0])
            numbers.update(frame.instruments["pnl_micros"].tolist(), frame.reasons[-1].tolist())
            numbers.update(frame.candles_of(0)["close"].astype(int).tolist()[-1:])
            assert len(numbers) == 1, numbers
            seen |= numbers
            if len(seen) > 300:
                break
    finally:
        writer.stdin.close()
        writer.wait(10)
    assert len(seen) > 50, "the reader starved"


def test_a_writer_that_died_in_the_middle_is_reported_as_torn(run_folder: Path) -> None:
    """A frame that is never ended is not shown; the next trader's view is read at once."""
    writer = LiveWriter.create(run_folder / "live.map", PAIRS)
    reader = LiveReader(run_folder / "live.map")
    writer.begin()
    with pytest.raises(TornFrame, match="no consistent copy within 5 ms"):
        reader.read(timeout_s=0.005)
    LiveWriter.create(run_folder / "live.map", PAIRS[:1])
    assert len(reader.read().instruments) == 1


def test_begin_and_end_belong_together(run_folder: Path) -> None:
    """A second `begin`, or an `end` without one, is a bug and says so."""
    writer = LiveWriter.create(run_folder / "live.map", PAIRS)
    with pytest.raises(AssertionError, match="without begin"):
        writer.end()
    writer.begin()
    with pytest.raises(AssertionError, match="not ended"):
        writer.begin()


def test_a_view_that_is_not_there_or_not_ours_is_named(run_folder: Path) -> None:
    """No view: the trader is not running. Another layout, or no view at all: both processes must come from one version."""
    view = run_folder / "live.map"
    with pytest.raises(NotRunning, match="tercel run"):
        LiveReader(view).read()
    run_folder.mkdir(exist_ok=True)
    for content in (b"short", b"x" * 4096):
        view.write_bytes(content)
        with pytest.raises(DataError, match="another version"):
            LiveReader(view).read()


def test_without_shared_memory_a_plain_file_serves(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room in /dev/shm, or no such folder: the view is a plain file at the same path, and reads the same."""

    def no_room() -> Path:
        raise OSError("no shared memory")

    monkeypatch.setattr("tercel.observe.mapped.shm_folder", no_room)
    writer = LiveWriter.create(run_folder / "live.map", PAIRS)
    writer.begin()
    writer.status["orders"] = 3
    writer.end()
    assert not (run_folder / "live.map").is_symlink()
    assert LiveReader(run_folder / "live.map").read().status["orders"] == 3


def test_the_memory_of_a_deleted_account_is_freed(run_folder: Path) -> None:
    """A view whose run folder is gone does not hold memory for ever: the next view of this user removes it."""
    gone = run_folder.with_name("gone")
    LiveWriter.create(gone / "live.map", PAIRS)
    target = (gone / "live.map").resolve()
    if target.parent == gone:
        pytest.skip("no /dev/shm here: the view is a plain file in the folder itself")
    shutil.rmtree(gone)
    assert target.exists()
    LiveWriter.create(run_folder / "live.map", PAIRS)
    assert not target.exists()


def test_the_view_is_private(run_folder: Path) -> None:
    """Only the user who trades can read what the trader shows."""
    LiveWriter.create(run_folder / "live.map", PAIRS)
    assert (run_folder / "live.map").stat().st_mode & 0o077 == 0


def test_every_stage_has_a_budget_and_total_covers_the_way() -> None:
    """Budgets are positive, our goal is never looser than what is asked, and the last stage is the whole way."""
    assert all(stage.budget_us > 0 for stage in STAGES)
    assert all(stage.budget_us <= stage.asked_ms * 1e3 for stage in STAGES if stage.asked_ms is not None)
    assert STAGES[TOTAL].name == "total"
