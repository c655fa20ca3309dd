"""The gate before real orders: nothing passes without a venue that is ready and an account that somebody named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tercel.base.errors import ConfigError, VenueUnavailable
from tercel.cli import live_gate, main
from tercel.cli.show import Teller
from tercel.execution import venue_check
from tercel.execution.venue_check import CHECKED, VenueFinding

GOOD = tuple(VenueFinding(about, True, "as it must be") for about in CHECKED)


class Venue:
    """A venue whose answers are given; it remembers what it was asked."""

    def __init__(self, findings: Sequence[VenueFinding] = GOOD) -> None:
        self.findings, self.asked = findings, list[tuple[str, tuple[str, ...]]]()

    def __call__(self, account: str, instruments: Sequence[str], timeout_s: float) -> Sequence[VenueFinding]:
        assert 0 < timeout_s <= live_gate.CHECK_S_MAX
        self.asked.append((account, tuple(instruments)))
        return self.findings


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    """A venue registered as "test"."""
    made = Venue()
    monkeypatch.setitem(venue_check.VENUES, "test", lambda: made)
    return made


def gate(
    typed: str | None = None, *, account: str = "real-1", venue: str | None = "test", confirm: str | None = None, live: str = ""
) -> list[str]:
    """Try the gate; `typed` None: no terminal. Returns what was asked at the terminal."""
    questions: list[str] = []

    def ask(text: str) -> str:
        questions.append(text)
        return typed or ""

    environ = {"TERCEL_LIVE": live} if live else {}
    live_gate.pass_gate(account, venue, ["EURUSD@test"], confirm, Teller(), None if typed is None else ask, environ)
    return questions


def test_the_name_typed_at_a_terminal_opens_it(venue: Venue) -> None:
    """The venue is asked about the account and its instruments first; the question names both account and venue."""
    (question,) = gate("real-1\n")
    assert "test" in question
    assert "real-1" in question
    assert venue.asked == [("real-1", ("EURUSD@test",))]


@pytest.mark.parametrize("typed", ["", "y", "yes", "real-2", "REAL-1"])
def test_any_other_word_does_not(venue: Venue, typed: str) -> None:
    """No short answer and no other account."""
    with pytest.raises(ConfigError, match=r"expected the account's name 'real-1'.*nothing was started"):
        gate(typed)


@pytest.mark.parametrize(
    ("confirm", "live", "said"),
    [
        (None, "1", "no terminal to ask at: say --confirm real-1 and set TERCEL_LIVE=1"),
        ("real-2", "1", "expected --confirm real-1, found 'real-2'"),
        ("real-1", "", "expected TERCEL_LIVE=1 in the environment"),
        ("real-1", "true", "expected TERCEL_LIVE=1 in the environment"),
    ],
)
def test_without_a_terminal_two_things_are_said_on_purpose(venue: Venue, confirm: str | None, live: str, said: str) -> None:
    """The account's name as an option and the variable: either alone is refused, both together open it."""
    with pytest.raises(ConfigError) as caught:
        gate(confirm=confirm, live=live)
    assert said in str(caught.value)
    assert gate(confirm="real-1", live="1") == []


@pytest.mark.parametrize("about", CHECKED)
def test_a_venue_that_is_not_ready_is_not_traded(monkeypatch: pytest.MonkeyPatch, about: str) -> None:
    """One bad answer, or one question without an answer, is enough; nobody is asked to confirm then."""
    bad = tuple(VenueFinding(one.about, one.about != about, "off by 3 s", "look") for one in GOOD)
    for findings, said in (
        (bad, f"{about}: off by 3 s (look)"),
        (tuple(one for one in GOOD if one.about != about), f"{about}: was not checked"),
    ):
        monkeypatch.setitem(venue_check.VENUES, "test", lambda findings=findings: Venue(findings))
        with pytest.raises(VenueUnavailable) as caught:
            gate("real-1")
        assert said in str(caught.value)
        assert "nothing was started" in str(caught.value)


def test_a_venue_that_there_is_not_is_refused(venue: Venue) -> None:
    """The nearest one is named; without a name, all of them."""
    with pytest.raises(ConfigError, match="there is no venue 'tset'; did you mean test"):
        gate("real-1", venue="tset")
    with pytest.raises(ConfigError, match="expected --venue NAME, one of test"):
        gate("real-1", venue=None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--live"], "has no adapter for a real venue"),
        (["--live", "--venue", "fix", "--confirm", "paper"], "has no adapter for a real venue"),
        (["--live", "--paper"], "expected --paper or --live, found both"),
        (["--venue", "fix"], "--venue: belongs to --live"),
        (["--confirm", "paper"], "--confirm: belongs to --live"),
    ],
)
def test_this_version_refuses_live_trading(home: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No venue is registered: `--live` says what is missing, with status 2, and no account's folder is made."""
    assert main.run(["run", *words, "--json"]) == 2
    output = capsys.readouterr()
    assert said in json.loads(output.err)["error"]["message"]
    assert output.out == ""
    assert not (home / "accounts").exists()


def test_behind_the_gate_nothing_is_sent_yet(
    home: Path, venue: Venue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even a venue that is ready and confirmed starts nothing while there is no driver for it."""
    monkeypatch.setenv("TERCEL_LIVE", "1")
    assert main.run(["run", "--live", "--venue", "test", "--account", "real-1", "--confirm", "real-1"]) == 2
    output = capsys.readouterr()
    assert "no driver that sends real orders" in output.err
    assert output.out.count("ok    ") == len(CHECKED)
    assert not (home / "accounts").exists()
