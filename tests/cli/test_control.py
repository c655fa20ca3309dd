"""`tercel status`, `why`, `halt` and `resume` against a trader that runs, and against none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tercel.cli import control
from tests.cli.processes import Running, answer, tercel, until


def said(errors: str) -> str:
    """What stands on stderr, without the progress that a busy machine makes a verb show."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("   "))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A trader of the simulated market, an hour a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERCEL_HOME", str(tmp_path_factory.mktemp("home")))
        with Running("run", "--speed", "3600", "--account", "desk-1") as run:
            yield run.ready()
            assert run.end() == 0


def test_status_says_what_the_trader_does(running: Running) -> None:
    """Without --account the only running trader is meant; prices carry the decimals of their instrument."""
    until(lambda: answer("status")["orders"] > 0, "an order")
    shown = tercel("status")
    assert shown.returncode == 0
    assert shown.stdout.startswith("account desk-1: trading, paper, feed simulator (live)\n")
    found = answer("status")
    assert (found["account"], found["running"], found["halted"], found["epoch"]) == ("desk-1", True, False, 1)
    assert found["pid"] == running.trader.pid
    assert {one["instrument"] for one in found["instruments"]} >= {"EURUSD@sim", "XAUUSD@sim"}
    gold = next(line.split() for line in shown.stdout.splitlines() if "XAUUSD@sim" in line)
    decimals = next(one["price_decimals"] for one in found["instruments"] if one["instrument"] == "XAUUSD@sim")
    assert [len(price.partition(".")[2]) for price in gold[1:3]] == [decimals, decimals]
    assert {stage["stage"] for stage in found["stages"]} >= {"feed", "decide", "journal"}


def test_why_counts_the_reasons(running: Running) -> None:
    """Every evaluation without an order has a reason with a meaning; those of the instruments add up to those of all."""
    until(lambda: bool(answer("why")["reasons"]), "an evaluation")
    assert " evaluations without an order" in tercel("why").stdout
    one = tercel("why", "EURUSD@sim")
    assert "account desk-1, EURUSD@sim: " in one.stdout
    assert tercel("why", "EURUSD").stdout.splitlines()[0].startswith("account desk-1, EURUSD@sim: ")
    for reason in answer("why", "EURUSD@sim")["reasons"]:
        assert reason["times"] > 0
        assert reason["meaning"]


def test_why_of_an_unknown_instrument_names_the_known_ones(running: Running) -> None:
    """The error lists the choices and has the status of a wrong argument."""
    wrong = tercel("why", "EURUS")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: why: expected one of EURUSD@sim, ")
    assert wrong.stderr.endswith(", found 'EURUS'\n")


def test_why_explains_an_order(running: Running) -> None:
    """The last order, or one by its number: the signal behind it is of the same input, and its fill moves the position by its size."""
    until(lambda: answer("status")["fills"] > 0, "a fill")
    first = answer("why", "--order", "1")
    assert (first["account"], first["order"], first["session"]["epoch"], first["position_before"]) == ("desk-1", 1, 1, 0.0)
    assert first["id"] == f"{1:016x}{1:016x}"
    assert first["signal"]["input"] == first["input"]
    assert (first["signal"]["direction"] > 0) == (first["side"] == "buy")
    assert (first["signal"]["score"] > 0) == (first["side"] == "buy")
    assert first["settings"]["decide"]["fast"] == 20
    fills = [event for event in first["then"] if event["what"] == "fill"]
    assert abs(fills[-1]["position"]) == pytest.approx(sum(fill["size"] for fill in fills))
    shown = tercel("why", "--order", "1").stdout
    assert f"{first['side']} " in shown
    assert first["instrument"] in shown
    last = answer("why", "--last", first["instrument"])
    assert last["instrument"] == first["instrument"]
    assert last["order"] >= 1
    for words, expected in (
        (("--order", "999999"), "expected order 999999, found none in its journal; its orders are 1 to "),
        (("--order", "1", "--last"), "expected one of --order, --last and --at, found --order and --last"),
    ):
        done = tercel("why", *words)
        assert done.returncode == 2
        assert expected in done.stderr


def test_why_plays_a_moment_again(running: Running) -> None:
    """At the time of an order the replay beside the trader makes that very order, from the same score; a moment without one has reasons."""
    until(lambda: answer("status")["fills"] > 0, "a fill")
    last = answer("why", "--last")
    found = answer("why", last["instrument"], "--at", last["time"].replace(" ", "T"))
    there = [one for one in found["evaluations"] if one["input"] == last["input"]]
    assert [did["what"] for did in there[0]["did"]].count("intent") == 1
    assert there[0]["score"] == last["score"]
    assert there[0]["position"] == last["position_before"]
    bars = [one["bar_closed"] for one in found["evaluations"]]
    assert bars == sorted(set(bars))
    assert len(bars) >= 2
    before = found["evaluations"][0]
    assert before["reasons"][0]["meaning"]
    assert before["features"]["close"] == pytest.approx((before["bid"] + before["ask"]) / 2, rel=1e-3)
    every = tercel("why", "--at", last["time"].replace(" ", "T"))
    assert (every.returncode, said(every.stderr)) == (0, "")
    names = [one["instrument"] for one in answer("why", "--at", last["time"].replace(" ", "T"))["evaluations"]]
    assert len(set(names)) >= 2  # of gold there is none in its daily break
    assert all(every.stdout.count(name) == names.count(name) for name in names)
    assert before["reasons"][0]["reason"] in every.stdout
    assert running.process.poll() is None


def test_an_order_by_hand(running: Running) -> None:
    """Sent once under its client_id and explained as given by hand; what is no order, or denied, has a status and words of its own."""
    until(lambda: all(one["bid"] for one in answer("status")["instruments"]), "a quote of each")
    found = answer("order", "buy", "0.01", "EURUSD@sim", "--client-id", "ann 1")
    assert (found["account"], found["status"], found["side"], found["qty"]) == ("desk-1", "submitted", "buy", 0.01)
    again = tercel("order", "buy", "0.010", "EURUSD", "--client-id", "ann 1")
    assert (again.returncode, again.stderr) == (0, "")
    first, second = again.stdout.splitlines()
    assert first == "account desk-1: buy 0.01 lots of EURUSD@sim at the market: submitted (given before, not sent again)"
    assert second == f"order {found['id']}, client_id ann 1"
    number = str(int(found["id"][16:], 16))
    why = answer("why", "--order", number)
    assert (why["id"], why["by_hand"]["client_id"], why["signal"]) == (found["id"], "ann 1", None)
    assert why["by_hand"]["who"].startswith("api 127.0.0.1")
    assert "because  given by hand, api 127.0.0.1, client_id ann 1" in tercel("why", "--order", number).stdout
    for words, status, expected in (
        (("sell", "0.01", "EURUSD", "--client-id", "ann 1"), 2, "order: client_id ann 1 belongs to another order"),
        (("buy", "0.0000001", "EURUSD"), 2, "order: qty: expected lots of EURUSD@sim"),
        (("buy", "1", "EURUS"), 2, "order: symbol 'EURUS': expected one of"),
        (("buy", "21", "EURUSD"), 6, "order_size: the order is larger than risk.order_lots; raise the limit or order less"),
        (("buy", "1", "EURUSD", "--account", "dsk-1"), 7, "order: account dsk-1 has no running trader"),
    ):
        done = tercel("order", *words)
        assert done.returncode == status, done
        assert said(done.stderr).startswith(f"error: {expected}")


def test_halt_works_without_a_desk(running: Running) -> None:
    """With the desk killed a moment ago the trader still answers; it sends nothing until it is resumed."""
    running.desk.kill()
    halted = tercel("halt", "--why", "a test")
    assert (halted.returncode, halted.stderr) == (0, "")
    assert halted.stdout.startswith("account desk-1: halted at input ")
    found = answer("status")
    assert found["halted"]
    assert "HALTED" in tercel("status").stdout
    until(lambda: answer("status")["inputs"] > found["inputs"] + 1_000, "more inputs")
    assert answer("status")["orders"] == found["orders"]
    resumed = tercel("resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert resumed.stdout.startswith("account desk-1: running at input ")
    assert not answer("status")["halted"]
    until(lambda: answer("status")["orders"] > found["orders"], "orders again")
    until(lambda: "was started again" in running.out, "another desk")


def test_a_halt_of_another_account_says_who_runs(running: Running) -> None:
    """A misspelt account is not taken for the one that runs."""
    wrong = tercel("halt", "--account", "dsk-1")
    assert wrong.returncode == 7
    assert "account dsk-1: no trader is running; the kill flag is set" in wrong.stderr
    assert "(running now: desk-1)" in wrong.stderr
    assert not answer("status")["halted"]


def test_with_several_traders_the_question_needs_a_name_and_a_halt_stops_all(running: Running) -> None:
    """Two traders: `status` asks which, `halt` without a name halts both."""
    with Running("run", "--account", "desk-2", "--no-desk") as second:
        second.ready()
        asked = tercel("status")
        assert asked.returncode == 2
        assert asked.stderr.endswith("say which: --account desk-1 | desk-2\n")
        halted = tercel("halt")
        assert [line.partition(" at ")[0] for line in halted.stdout.splitlines()] == ["account desk-1: halted", "account desk-2: halted"]
        assert tercel("resume", "--account", "desk-1").returncode == 0
        assert second.end() == 0


def test_without_a_trader_status_has_a_status_of_its_own(home: Path) -> None:
    """7 means that nothing runs, with or without something to show."""
    for verb in ("status", "why", "resume"):
        done = tercel(verb)
        assert done.returncode == 7
        assert done.stderr.endswith("no trader has run; start one with `tercel run`\n") or verb == "resume"
    assert tercel("run", "--for", "1ms", "--no-desk").returncode == 0
    shown = tercel("status")
    assert shown.returncode == 7
    assert shown.stdout.startswith("account paper: not running, paper, feed simulator\n")
    assert answer("status")["running"] is False
    assert "accounts here: paper" in tercel("status", "--account", "other").stderr


def test_a_moment_of_a_stopped_trader_is_played_again_and_nothing_is_written(home: Path, tmp_path: Path) -> None:
    """By the time of day, on bars of ticks too; other settings, and instants the log does not hold, are refused with what there is."""
    assert tercel("run", "--for", "2s", "--no-desk", "--speed", "3600", "--bars", "200t", cwd=tmp_path).returncode == 0
    stopped = answer("status")
    files = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    minute = stopped["core_time"][:16]
    shown = tercel("why", "EURUSD", "--at", minute[11:], cwd=tmp_path)
    assert (shown.returncode, said(shown.stderr)) == (0, "")
    assert shown.stdout.startswith(f"account paper around {minute}:00.000, played again from its input log\n")
    assert "  features  open 1." in shown.stdout
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()} == files
    for words, expected in (
        (("--at", "2020-01-01"), "the input log of account paper holds 2026-01-05 12:00:00"),
        (("--at", "noon"), "expected an ISO date or time"),
        (("NOSUCH", "--at", minute[11:]), "expected one of EURUSD@sim, "),
        (("--at", minute[11:], "--last"), "found --last and --at"),
    ):
        done = tercel("why", *words, cwd=tmp_path)
        assert done.returncode == 2
        assert expected in done.stderr
    (tmp_path / "tercel.toml").write_text("[rule]\nenter = 3.0\n")
    assert "its last session had other settings" in tercel("why", "--at", minute[11:], cwd=tmp_path).stderr
    assert tercel("run", "--for", "1s", "--no-desk", "--speed", "3600", "--bars", "200t", cwd=tmp_path).returncode == 0
    early = tercel("why", "--at", stopped["core_time"].replace(" ", "T"), cwd=tmp_path)
    assert early.returncode == 2
    assert "holds" in early.stderr or "instants that can be played again" in early.stderr


def test_a_halt_without_a_trader_holds_for_the_next(home: Path) -> None:
    """The flag is set, the command says so with status 7, the next trader starts halted, and only then can it be resumed."""
    done = tercel("halt")
    assert done.returncode == 7
    assert done.stderr == "error: account paper: no trader is running; the kill flag is set, so its next one starts halted\n"
    with Running("run", "--no-desk") as run:
        run.ready()
        assert "HALTED" in run.out
        assert answer("status")["halted"]
        assert tercel("resume").returncode == 0
        assert not answer("status")["halted"]
        assert run.end() == 0


def test_without_a_name_the_account_that_was_active_last_answers(home: Path) -> None:
    """No trader runs: it is the one whose journal was written last, and stderr names the others; a look at one changes nothing of that."""
    for name in ("paper", "desk-1"):
        assert tercel("run", "--for", "2s", "--no-desk", "--speed", "36000", "--account", name).returncode == 0
    last = tercel("why", "--last")
    assert last.returncode == 0
    assert " of account desk-1 (" in last.stdout
    assert last.stderr == "no trader runs; account desk-1 was active last, others here: paper (--account)\n"
    assert tercel("why", "--last", "--account", "paper").stderr == ""
    assert answer("why", "--last")["account"] == answer("why")["account"] == answer("status")["account"] == "desk-1"
    assert "account desk-1: no trader is running; the kill flag is set" in tercel("halt").stderr


def test_an_account_is_the_one_named_else_the_one_that_runs_else_paper(home: Path) -> None:
    """The name must be one a folder can have."""
    assert control.chosen(None, "status") == "paper"
    assert control.chosen("mine", "status") == "mine"
    for wrong in ("", "..", "a/b", "x" * 33):
        with pytest.raises(control.ConfigError, match="expected up to 32 letters"):
            control.chosen(wrong, "status")
