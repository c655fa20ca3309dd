"""Recordings: lines as they came, whole files whatever happens to the recorder, bounds kept, nothing overwritten."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tercel.base.errors import ConfigError, DataError
from tercel.base.time import NS_PER_DAY, NS_PER_S, parse_instant
from tercel.market.definitions import guessed
from tercel.market.feeds.recording import LOST, Recording, RecordingFull, read
from tests.market.feeds.sessions import Watched, numbered
from tests.market.feeds.venue_market import MadeMarket
from tests.market.feeds.venue_server import Venue

NOON = parse_instant("2024-07-18T12:00:00")
TRADE = b'{"stream":"btcusdt@trade","data":{}}'
BTC, ETH = (guessed(symbol, "binance", 2, 5) for symbol in ("BTCUSDT", "ETHUSDT"))
ROOT = Path(__file__).parents[3]


def test_a_line_is_a_time_and_the_message_as_it_came(tmp_path: Path) -> None:
    """One gzip file per symbol and day with lines `recv_ns json`; snapshots and losses are lines too, other messages go beside."""
    recording = Recording(tmp_path, (BTC, ETH), 10**9)
    recording.message(TRADE, NOON)
    recording.message(memoryview(b'{"stream":"ethusdt@depth@100ms","data":{"e":1}}'), NOON + 1)
    recording.message(b'{"stream":"","data":{"e":"serverShutdown"}}', NOON + 2)
    recording.message(b"two\nlines", NOON + 3)
    recording.snapshot("BTCUSDT", b'{"lastUpdateId":7,"bids":[],"asks":[]}', NOON + 4)
    recording.disconnected(NOON + 5)
    recording.flush(NOON + 6, force=True)
    names = ["btcusdt_20240718.gz", "ethusdt_20240718.gz", "session_20240718.gz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    lines = gzip.decompress((tmp_path / names[0]).read_bytes()).splitlines()
    snapshot = b'{"lastUpdateId":7,"bids":[],"asks":[]}'
    head = json.loads(lines[0].partition(b" ")[2])
    assert (head["tercel"], head["version"], head["instrument"]["symbol"]) == ("start", 1, "BTCUSDT")
    assert lines[1:] == [b"%d %b" % (NOON, TRADE), b"%d %b" % (NOON + 4, snapshot), b"%d %b" % (NOON + 5, LOST)]
    assert recording.wanted == {"ETHUSDT"}
    together = list(read([tmp_path / name for name in names]))
    assert [stamp - NOON for stamp, _, _ in together] == [0, 1, 2, 3, 4, 5, 5]
    assert together[3][1:] == ("session", b"two lines")


def test_it_writes_once_a_second_in_whole_members(tmp_path: Path) -> None:
    """Before the second is over nothing is written; every cut between two writes is a whole file."""
    recording = Recording(tmp_path, (BTC,), 10**9)
    path = tmp_path / "btcusdt_20240718.gz"
    recording.flush(NOON)
    sizes = [0]
    for second in range(1, 4):
        recording.message(TRADE, NOON + second)
        recording.flush(NOON + second * NS_PER_S - 1)
        assert (path.stat().st_size if path.exists() else 0) == sizes[-1]
        recording.flush(NOON + second * NS_PER_S)
        sizes.append(path.stat().st_size)
    whole = path.read_bytes()
    for count, size in enumerate(sizes):
        assert gzip.decompress(whole[:size]).count(b"\n") == (count + 1 if count else 0)


def test_days_sizes_and_restarts_begin_new_files(tmp_path: Path) -> None:
    """A day, a full file and a new start go on in another file; one that is there is never written to."""
    for start in range(2):
        recording = Recording(tmp_path, (BTC,), 10**9, file_bytes_max=360)
        for step in range(3):
            recording.message(TRADE, NOON + step)
            recording.flush(NOON + step, force=True)
        assert len(recording.files) == 2, start
    recording.message(TRADE, NOON + NS_PER_DAY)
    recording.flush(NOON + NS_PER_DAY, force=True)
    names = [f"btcusdt_20240718{number}.gz" for number in ("", ".2", ".3", ".4")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "btcusdt_20240719.gz"])
    assert [len(list(read([tmp_path / name]))) for name in names] == [2, 1, 2, 1]
    begun = [gzip.decompress((tmp_path / name).read_bytes()).split(b'"')[3] for name in names]
    assert begun == [b"start", b"continues", b"start", b"continues"]
    assert recording.wanted == {"BTCUSDT"}
    recording.snapshot("BTCUSDT", b'{"lastUpdateId":7,"bids":[],"asks":[]}', NOON)
    assert not recording.wanted


def test_the_bound_of_the_recording_is_kept(tmp_path: Path) -> None:
    """At the bound recording ends with what to do; what is there is whole and nothing was deleted."""
    recording = Recording(tmp_path, (BTC,), 600)

    def record() -> None:
        for step in range(100):
            recording.message(TRADE, NOON + step)
            recording.flush(NOON + step, force=True)

    with pytest.raises(RecordingFull, match="nothing was deleted; raise --size-max"):
        record()
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 600 <= written < 700
    assert len(list(read(sorted(tmp_path.iterdir())))) == recording.messages
    with pytest.raises(ConfigError, match="above 0 bytes"):
        Recording(tmp_path, (BTC,), 0)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    """Lines of another kind are refused with the file; an end torn off by a power failure is left out."""
    path = tmp_path / "btcusdt_20240718.gz"
    path.write_bytes(gzip.compress(b"hello\n"))
    with pytest.raises(DataError, match=r"btcusdt_20240718.gz: expected lines of nanoseconds"):
        list(read([path]))
    member = gzip.compress(b"%d %b\n" % (NOON, TRADE))
    path.write_bytes(member + member[:-9])
    assert 1 <= len(list(read([path]))) <= 2


def test_a_killed_recorder_leaves_a_whole_file(tmp_path: Path) -> None:
    """`tercel feed record` killed with SIGKILL in full flight: every file decompresses, and at most the last second or so is missing."""
    with Venue(MadeMarket(("BTCUSDT", "ETHUSDT"), seed=3), tmp_path / "venue") as venue:
        venue.play(300.0)
        command = [
            sys.executable, "-m", "tercel.cli.main", "feed", "record", "binance:BTCUSDT,ETHUSDT", "--to", str(tmp_path / "to"),
            "--endpoint", venue.url, "--ca", str(venue.authority),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
        try:
            until = time.monotonic() + 30.0
            while not list((tmp_path / "to").glob("btcusdt_*.gz")) and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(2.5)
            killed_ns = time.time_ns()
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait(10.0)
    files = sorted((tmp_path / "to").iterdir())
    assert {path.name.partition("_")[0] for path in files} == {"btcusdt", "ethusdt"}
    lines = list(read(files))
    for path in files:
        gzip.decompress(path.read_bytes())  # raises for a torn end
    assert len(lines) > 300
    assert killed_ns - lines[-1][0] < 1.5 * NS_PER_S
    assert any(payload.startswith(b'{"lastUpdateId"') for _, _, payload in lines)


def test_a_recording_gives_the_same_records_again(tmp_path: Path) -> None:
    """What was recorded, decoded anew, is to the bit what the live feed gave, a lost connection and its gaps included."""
    from tercel.market.feeds.binance import Binance
    from tests.market.feeds.sessions import replayed

    with Venue(MadeMarket(("BTCUSDT", "ETHUSDT"), seed=4), tmp_path / "venue") as venue:
        recording = Recording(tmp_path / "to", numbered(venue), 10**9)
        with Watched(venue, tape=recording) as watched:
            watched.connected()
            watched.say(300)
            venue.drop(20)
            watched.say(60)
            venue.reset()
            watched.until(lambda: watched.state.ended.get("closed"))
            watched.connected()
            watched.say(200)
            watched.books_are_true()
            recording.flush(NOON, force=True)
            instruments, live = watched.instruments, watched.records
    again = replayed(recording.files, Binance(instruments, depth=True))
    assert again.tobytes() == live.tobytes()
