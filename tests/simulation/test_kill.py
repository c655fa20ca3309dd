"""Traders that are killed at random moments, again and again, end where one ends that was never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tercel.base import paths
from tercel.base.errors import NotRunning
from tercel.drivers.history import History
from tercel.drivers.launch import FeedSpec, RunSpec
from tercel.drivers.result import Result
from tercel.journal.entries import REWARMED, Note, Session
from tercel.observe.control import HALTED, RUNNING, ControlClient
from tests.core.scenarios import assert_books_agree
from tests.real_ticks import NAMES, PLAN
from tests.traders import comparable, finish, hash_in, journal_of, outputs_of, start, trader_of

KILLS = 6
SEEDS = [int(os.environ["TERCEL_KILL_SEED"])] if "TERCEL_KILL_SEED" in os.environ else [1, 2]
FAST = FeedSpec(kind="replay", names=NAMES, speed=0)
SLOW = FeedSpec(kind="replay", names=NAMES, speed=5_000)  # two hours in a second and a half


def spec(account: str, feed: FeedSpec) -> RunSpec:
    """A trader of an account that ends with its feed."""
    return RunSpec(account=account, feed=feed, settings=str(paths.home() / "plan.toml"), stop_when_done=True, sync="interval")


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """The first line of the process that begins with `word`; fails when it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line
    raise AssertionError(f"expected a line {word!r}, the process ended: {process.communicate()[1]}")


def kill(process: subprocess.Popen[str], chance: random.Random) -> None:
    """SIGKILL at a random moment: mostly while it trades, sometimes while it starts or recovers."""
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0.2, 1.2))
    else:
        read_until(process, "trading")
        time.sleep(chance.uniform(0.0, 0.6))
    process.send_signal(signal.SIGKILL)
    process.communicate()


def disturb(account: str, chance: random.Random) -> str:
    """What a crash may leave behind besides: half a record at the end of the input log, lost or damaged snapshots."""
    folder = paths.session_dir(account)
    what = chance.choice(["nothing", "torn", "no snapshots", "damaged snapshot"])
    logs, stored = sorted((folder / "inputs").glob("input-*.log")), sorted(folder.glob("snapshot-*.snap"))
    if what == "torn" and logs:
        with logs[-1].open("ab") as file:
            file.write(chance.randbytes(chance.randint(1, 63)))
    elif what == "no snapshots":
        for path in stored:
            path.unlink()
    elif what == "damaged snapshot" and stored:
        with stored[-1].open("r+b") as file:
            file.seek(stored[-1].stat().st_size - 20)
            file.write(b"\xff" * 8)
    return what


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_again_and_again(hours: History, tested: Result, tmp_path: Path, seed: int) -> None:
    """After every kill the trader goes on as if nothing had happened: outputs in the journal and final state are the uninterrupted ones."""
    chance, account, story = random.Random(seed), f"killed-{seed}", []
    for _ in range(KILLS):
        kill(start(tmp_path, spec(account, SLOW), "tests.simulation.restless"), chance)
        story.append(disturb(account, chance))
    last = finish(start(tmp_path, spec(account, FAST), "tests.simulation.restless"))
    said = f"seed {seed} (TERCEL_KILL_SEED repeats it): {story}"
    assert hash_in(last) == tested.state_hash, said
    assert comparable(outputs_of(account)) == comparable(tested.outputs), said
    journal = journal_of(account)
    epochs = [one.epoch for one in journal if isinstance(one, Session)]
    assert epochs == list(range(1, len(epochs) + 1)), said
    assert not [one for one in journal if isinstance(one, Note) and one.about == REWARMED], said


def test_a_kill_is_survived_without_any_snapshot(hours: History, tested: Result, tmp_path: Path) -> None:
    """Killed before its first snapshot, a trader recovers from the input log alone; outputs that the journal had lost are added to it."""
    process = start(tmp_path, spec("early", SLOW))
    read_until(process, "trading")
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(paths.session_dir("early").glob("snapshot-*.snap"))
    journal = sorted((paths.session_dir("early") / "journal").glob("journal-*.log"))[-1]
    os.truncate(journal, journal.stat().st_size - 100)
    trader = trader_of(PLAN, FAST, "early")
    recovered = trader.start()
    assert recovered.how == "recovered"
    assert recovered.outputs_added > 0
    assert recovered.replayed > 1_000
    trader.run()
    trader.close()
    assert trader.engine.state_hash() == tested.state_hash
    outputs = outputs_of("early")
    assert comparable(outputs) == comparable(tested.outputs)
    assert_books_agree(trader.engine, outputs)


def test_a_second_trader_is_refused(hours: History, tmp_path: Path) -> None:
    """While a trader has the account no other gets it, and the first trades on; asked to end, it ends in order."""
    process = start(tmp_path, spec("shared", FeedSpec(kind="replay", names=NAMES, speed=1)))
    read_until(process, "trading")
    second = start(tmp_path, spec("shared", FAST))
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 2
    assert "another trader of this account is running" in errors
    process.terminate()
    assert finish(process).startswith("stopped")


def test_a_halt_while_nobody_trades_holds(hours: History, tmp_path: Path) -> None:
    """Who halts with no trader running finds the next one halted, sending nothing; resume and halt are answered by the running process."""
    client = ControlClient(paths.run_dir("halted"), "test")
    with pytest.raises(NotRunning, match="the next one starts halted"):
        client.halt("nobody there")
    assert finish(start(tmp_path, spec("halted", FAST))).startswith("stopped")
    outputs = outputs_of("halted")
    assert set(outputs["kind"].tolist()) == {4, 5, 7}  # denials, signals and the halt itself: no intent, no fill
    process = start(tmp_path, spec("resumed", FeedSpec(kind="replay", names=NAMES, speed=1)))
    client = ControlClient(paths.run_dir("resumed"), "test")
    assert "HALTED" not in read_until(process, "trading")
    assert client.halt("now", timeout_s=10.0).state == HALTED
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = start(tmp_path, spec("resumed", FeedSpec(kind="replay", names=NAMES, speed=1)))
    assert "HALTED" in read_until(process, "trading")
    assert client.resume("seen to", timeout_s=10.0).state == RUNNING
    process.terminate()
    assert finish(process).startswith("stopped")
