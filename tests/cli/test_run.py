"""`tercel run`: a trader and a desk that start in order, outlive nothing, and end in order."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tercel.observe.locks import trader_alive
from tests.cli.processes import Running, answer, tercel, until
from tests.market.history import quote_table, save, take

pytestmark = pytest.mark.usefixtures("home")


def test_it_trades_shows_a_page_and_ends_by_itself(home: Path) -> None:
    """With --for it starts, prints an address that answers, stops by itself with status 0, and a second start continues the account."""
    with Running("run", "--speed", "20", "--for", "2s") as run:
        run.ready()
        assert len(run.family) == 2
        assert "<title>" in run.get()
        assert json.loads(run.get("api/status"))["status"]["account"] == "paper"
        assert run.finish() == 0, run.err
        assert run.orphans() == []  # the address itself another desk of this machine may have taken by now
    assert run.errors == ""
    lines = run.out.splitlines()
    assert lines[:2] == ["starting the trader of account paper", "account paper (new), epoch 1, feed simulator"]
    assert lines[2].startswith("open http://127.0.0.1:")
    assert lines[3].startswith("stopped: ")
    assert lines[4:] == ["`tercel run` continues this account"]
    again = tercel("run", "--for", "1ms", "--no-desk")
    assert again.returncode == 0
    assert "account paper (recovered, " in again.stdout
    assert ", epoch 2, " in again.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_both_in_order(home: Path, number: int) -> None:
    """Ctrl-C, or the SIGTERM of a service manager, stops trader and desk, says what was done, and is no failure."""
    with Running("run", "--speed", "20") as run:
        run.ready()
        assert run.end(number) == 0, run.err
        assert run.orphans() == []
    assert "stopped: " in run.out
    assert run.errors == ""
    assert not trader_alive(home / "accounts" / "paper" / "run")


def test_an_interrupt_before_it_trades_is_told_apart() -> None:
    """Interrupted while it starts, it leaves with 130 and nothing behind."""
    with Running("run") as run:
        until(lambda: "starting" in run.out, "the first line")
        assert run.end() == 130
        assert run.orphans() == []
    assert "Traceback" not in run.err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl(2) of Linux")
def test_a_killed_parent_leaves_nobody_behind(home: Path) -> None:
    """Trader and desk end when the command that started them is killed outright; the trader in order, so that nothing is replayed."""
    with Running("run", "--speed", "20") as run:
        run.ready()
        assert run.end(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: run.orphans() == [], "trader and desk to end")
    assert "(recovered, 0 inputs replayed)" in tercel("run", "--for", "1ms", "--no-desk").stdout


def test_a_second_trader_of_an_account_is_refused() -> None:
    """It says whose page to look at, and the first trades on."""
    with Running("run", "--speed", "20") as run:
        run.ready()
        second = tercel("run", "--for", "1s")
        assert second.returncode == 2
        said = f"error: account paper: its trader is running already (its page: {run.url}); stop that one, or use another --account\n"
        assert second.stderr == said
        before = answer("status")
        until(lambda: answer("status")["inputs"] > before["inputs"], "more inputs")
        assert run.end() == 0


def test_a_killed_desk_comes_back_and_the_trader_does_not_notice() -> None:
    """The page is served again, by another process, at an address that is said; the trader is the same process and traded on."""
    with Running("run", "--speed", "20") as run:
        run.ready()
        desk, before = run.desk, answer("status")
        desk.kill()
        until(lambda: "was started again" in run.out, "another desk")
        assert json.loads(run.get("api/status"))["status"]["pid"] == before["pid"] == run.trader.pid
        assert run.desk.pid != desk.pid
        assert answer("status")["inputs"] > before["inputs"]
        assert run.end() == 0
        assert run.orphans() == []


def test_a_killed_trader_is_a_failure_that_is_said() -> None:
    """The desk ends too, the exit status is not 0, and the error names the signal."""
    with Running("run", "--speed", "20") as run:
        run.ready()
        run.trader.kill()
        assert run.finish() == 1
        assert run.orphans() == []
    assert run.errors.startswith("error: the trader was ended by signal 9")
    assert run.errors.count("\n") == 1


def test_a_replay_ends_when_asked(home: Path, tmp_path: Path) -> None:
    """Names mean a replay of the catalog; as fast as it can, it ends with the recording."""
    take(save(tmp_path / "oanda.parquet", quote_table(200)))
    done = tercel("run", "EURUSD", "--speed", "0", "--until-done", "--no-desk")
    assert done.returncode == 0, done.stderr
    assert "feed replay" in done.stdout
    assert "stopped: " in done.stdout
    assert answer("status")["instruments"][0]["instrument"] == "EURUSD@oanda"


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        ((), "[bars]\nevry = '1m'", "bars.evry: unknown setting; did you mean bars.every? (tercel.toml:2)"),
        ((), "[bars", "tercel.toml: not valid TOML"),
        (("--settings", "absent.toml"), "", "absent.toml, found none"),
        (("EURUSD", "--feed", "simulator"), "", "the simulator has its own instruments"),
        (("--feed", "replay"), "", "the catalog has no FX or metal quotes"),
        (("--account", "../x"), "", "expected up to 32 letters"),
        (("--port", "70000"), "", "port of the page: expected 1 to 65535, found 70000"),
        (("--for", "soon"), "", "duration: expected a number"),
        (("--strategy", "nowhere:Strategy"), "", "nowhere"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(tmp_path: Path, words: tuple[str, ...], settings: str, said: str) -> None:
    """A wrong setting or argument ends with status 2 and one line that names it; no process stays."""
    (tmp_path / "tercel.toml").write_text(settings)
    done = tercel("run", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
