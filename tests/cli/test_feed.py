"""`tercel feed` and `tercel run --feed binance:…` as real processes against a venue on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tercel.cli import checks_install, main
from tercel.cli.control import frame_of
from tercel.cli.status import summarise
from tercel.market.feeds.recording import read
from tests.cli.processes import Running, answer, tercel, until
from tests.market.feeds.venue_market import MadeMarket
from tests.market.feeds.venue_server import Venue
from tests.traders import outputs_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def venue(home: Path, tmp_path: Path) -> Iterator[Venue]:
    """A venue that speaks 200 times a second."""
    with Venue(MadeMarket(SYMBOLS, seed=21), tmp_path / "venue") as made:
        made.play(200.0)
        yield made


def reached(venue: Venue) -> tuple[str, ...]:
    """The options that lead to it."""
    return ("--endpoint", venue.url, "--ca", str(venue.authority))


def test_watch_prints_a_line_of_json_a_second(venue: Venue) -> None:
    """Price, spread, age, rate, book and every counter, once a second; the book is the venue's best."""
    done = tercel("feed", "watch", "binance:BTCUSDT", "--json", "--for", "3s", *reached(venue))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert 2 <= len(lines) <= 4
    last = lines[-1]
    assert last["state"] == "live"
    assert last["messages"] > 50
    assert last["messages_per_s"] > 20
    assert (last["reconnects"], last["gaps"], last["failures"], last["snapshots"]) == (0, {}, {}, 1)
    one = last["instruments"][0]
    assert one["symbol"] == "BTCUSDT"
    assert one["bid"] < one["ask"]
    assert one["spread"] == pytest.approx(one["ask"] - one["bid"], abs=1e-9)
    assert one["age_s"] < 2.0
    assert one["book_valid"]
    assert one["bids"][0][0] < one["asks"][0][0]


def test_watch_knows_perpetuals(home: Path, tmp_path: Path) -> None:
    """They are asked for and heard at the futures' own paths; one nobody lists is told with the nearest."""
    with Venue(MadeMarket(("BTCUSDT-PERP",), seed=21), tmp_path / "venue") as venue:
        venue.play(200.0)
        done = tercel("feed", "watch", "binance:BTCUSDT-PERP", "--json", "--for", "2s", *reached(venue))
        assert done.returncode == 0, done.stderr
        last = json.loads(done.stdout.splitlines()[-1])
        assert (last["state"], last["gaps"], last["dropped"].keys() - {"in_snapshot"}) == ("live", {}, set())
        assert last["instruments"][0]["symbol"] == "BTCUSDT-PERP"
        assert last["instruments"][0]["book_valid"]
        assert venue.asked.keys() == {"/fapi/v1/exchangeInfo", "/fapi/v1/depth"}
        unknown = tercel("feed", "watch", "binance:BTCUSTD-PERP", *reached(venue))
        assert (unknown.returncode, "did you mean 'BTCUSDT-PERP'?" in unknown.stderr) == (2, True)


def test_watch_shows_a_screen(venue: Venue) -> None:
    """Without --json it is for eyes: the last picture stays."""
    done = tercel("feed", "watch", "binance:BTCUSDT,ETHUSDT", "--for", "1s", *reached(venue))
    assert done.returncode == 0, done.stderr
    assert "binance: live" in done.stdout
    assert "ETHUSDT" in done.stdout
    assert "reconnects: 0" in done.stdout
    levels = re.findall(r"([\d,]+\.\d\d) x [\d.]+", done.stdout)
    assert len(levels) >= 10  # with the decimals of their price


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("feed", "watch", "binance:BTCUSTD"), 2, "there is no symbol BTCUSTD; did you mean BTCUSDT?"),
        (("feed", "watch", "binance"), 2, "expected symbols behind the venue, such as binance:BTCUSDT,ETHUSDT"),
        (("feed", "watch", "binanse:BTCUSDT"), 2, "did you mean 'binance'?"),
    ],
)
def test_errors_say_what_to_do(venue: Venue, words: tuple[str, ...], status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, the exit status of whose turn it is."""
    assert main.run([*words, *reached(venue)]) == status
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--feed", "nowhere"), "expected replay, simulator or a live venue such as binance:BTCUSDT, found 'nowhere'"),
        (("run", "EURUSD", "--feed", "binance:BTCUSDT"), "a live feed names its symbols itself"),
        (("run", "--feed", "binance:BTCUSDT", "--speed", "2"), "has no past"),
        (("run", "--ca", "x.pem"), "--endpoint, --rest and --ca are for a live feed"),
        (("feed", "watch", "binance:BTCUSDT", "--endpoint", "ws://example.com"), "without TLS only this very machine is reached"),
        (("feed", "watch", "binance:BTC/USDT"), "expected symbols of letters and digits"),
        (("run", "--feed", "binance:BTCUSDT,ETHUSDT-PERP"), "spot and perpetuals have servers of their own"),
    ],
)
def test_what_cannot_be_is_refused_at_once(home: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked of a network."""
    assert main.run(list(words)) == 2
    assert said in capsys.readouterr().err


def test_record_keeps_what_comes(venue: Venue, tmp_path: Path) -> None:
    """Files per symbol with every message and the snapshots, until the time is over; the sum is printed."""
    done = tercel("feed", "record", "binance:BTCUSDT,ETHUSDT", "--for", "3s", "--to", str(tmp_path / "to"), *reached(venue))
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "to").iterdir())
    assert [path.name.partition("_")[0] for path in files] == ["btcusdt", "ethusdt"]
    lines = list(read(files))
    snapshots = [payload for _, _, payload in lines if payload.startswith(b'{"lastUpdateId"')]
    assert len(snapshots) == 2
    assert f"recorded {len(lines) - 2:,} messages in 2 files" in done.stdout
    assert len(lines) > 200
    assert all(json.loads(payload) for _, _, payload in lines[:50])


def test_what_was_recorded_is_imported_and_back_tested(venue: Venue, tmp_path: Path) -> None:
    """A recorder that is killed and started again; its folder imported, listed and traded by a back-test, as one would type it."""
    folder, words = tmp_path / "recordings", ("feed", "record", "binance:BTCUSDT")
    with Running(*words, "--to", str(folder), *reached(venue)) as running:
        until(lambda: sum(path.stat().st_size for path in folder.glob("*.gz")) > 5_000, "a recording")
        running.process.kill()
    before = len(list(read(sorted(folder.iterdir()))))
    done = tercel(*words, "--for", "2s", "--to", str(folder), *reached(venue))
    assert done.returncode == 0, done.stderr
    assert len(list(read(sorted(folder.iterdir())))) > before > 50
    done = tercel("data", "import", str(folder))
    assert done.returncode == 0, done.stderr
    assert "BTCUSDT@binance: defined as crypto" in done.stdout
    listed = {one["kind"]: one["rows"] for one in answer("data", "list")}
    assert listed.keys() == {"quote", "trade", "book"}
    shown = tercel("data", "check").stdout
    assert re.search(r"BTCUSDT@binance quote: (\d+ rows share a time; )?1 holes that the recorder knew of, [\d.]+ s in all", shown)
    done = tercel("backtest", "BTCUSDT@binance", "--bars", "1s", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ticks"] == listed["quote"]


def test_record_says_an_event_a_line(venue: Venue, tmp_path: Path) -> None:
    """With --json: what is recorded and where to, and at the end how much that was; nothing else on either stream."""
    folder = tmp_path / "to"
    done = tercel("feed", "record", "binance:BTCUSDT", "--for", "2s", "--to", str(folder), "--json", *reached(venue))
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert (first["event"], first["symbols"], first["folder"]) == ("recording", ["BTCUSDT"], str(folder.resolve()))
    assert (last["event"], last["files"]) == ("recorded", 1)
    assert last["messages"] > 0
    assert last["bytes"] == sum(path.stat().st_size for path in folder.iterdir())


def now() -> dict[str, Any]:
    """What `tercel status --json` prints, without a process of its own."""
    return summarise("paper", frame_of("paper"), running=True)


def test_run_trades_on_live_data_through_a_reset(venue: Venue, tmp_path: Path) -> None:
    """`tercel run --feed binance:…`: it trades, status tells of the feed, a lost connection is survived."""
    path = tmp_path / "tercel.toml"
    rule = "fast = 1\nslow = 3\nvolatility_rows = 3\nenter = 0.1\nexit = 0.0\nsize_lots = 0.01\n"
    path.write_text(f'[bars]\nevery = "50ms"\ngrace = "10ms"\n[rule]\n{rule}[venue]\ntaker_fee = 0.0\nmaker_fee = 0.0\n')
    words = ("run", "--feed", "binance:BTCUSDT,ETHUSDT", "--settings", str(path), "--for", "60s", "--no-desk", "--sync", "never")
    with Running(*words, *reached(venue)) as running:
        running.ready()
        until(lambda: now()["feed_state"] == "live", "a live feed")
        before = now()
        assert before["data_age_s"] < 2.0
        assert before["feed_reconnects"] == 0
        venue.reset()
        until(lambda: now()["feed_reconnects"] == 1 and now()["feed_state"] == "live", "a reconnect")
        after = now()
        assert after["feed_gaps"] >= 1
        found = checks_install.feed()
        assert found.text.startswith("paper: binance live, newest data")
        until(lambda: now()["fills"] > max(0, after["fills"]) or running.process.poll() is not None, "fills after it")
        assert now()["inputs"] > before["inputs"]
        assert running.end() == 0, running.err
    assert "stopped:" in running.out
    assert "account paper: not running, paper, feed binance\nfeed: 1 reconnects" in tercel("status").stdout
    assert len(outputs_of("paper"))
