"""`--json` everywhere: one document, nothing else on stdout, errors as JSON; and one table of exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.base import errors
from tercel.base.time import NS_PER_S
from tercel.cli import main
from tercel.cli.complete import commands, options
from tercel.core.engine import CoreFault
from tercel.models.registry import Registry
from tests.cli.processes import tercel
from tests.market.history import quote_table, save, take
from tests.models.kept import model

# Every verb with words that work on one imported instrument, a stored model and an account that has run; {} is the folder.
WORDS: dict[tuple[str, ...], tuple[str, int]] = {
    ("new",): ("desk", 0),
    ("data", "import"): ("{}/oanda.parquet", 0),
    ("data", "formats"): ("", 0),
    ("data", "list"): ("", 0),
    ("data", "show"): ("EURUSD", 0),
    ("data", "check"): ("", 0),
    ("data", "remove"): ("EURUSD quote", 0),
    ("train",): ("--folds 2 --horizon 5m --features zscore_20 --features rsi_14", 0),
    ("backtest",): ("EURUSD", 0),
    ("models", "list"): ("", 0),
    ("models", "show"): ("eurusd", 0),
    ("models", "verify"): ("", 0),
    ("models", "stage"): ("eurusd@1 production", 0),
    ("models", "use"): ("eurusd", 7),
    ("status",): ("", 7),
    ("order",): ("buy 0.1 EURUSD", 7),
    ("halt",): ("", 7),
    ("resume",): ("", 7),
    ("why",): ("", 7),
    ("config", "show"): ("", 0),
    ("config", "check"): ("", 0),
    ("check", "lookahead"): ("--bars 10s --cuts 1 --records 3000", 0),
    ("cache", "stats"): ("", 2),
    ("cache", "warm"): ("", 2),
    ("cache", "clear"): ("", 2),
    ("cache", "bench"): ("--operations 3", 0),
    ("doctor",): ("", 0),
    ("completion",): ("bash", 0),
}
GOES_ON = {("run",), ("demo",), ("feed", "record"), ("feed", "watch")}  # a document a line; tried as processes, the feed beside its venue


def documents(text: str) -> list[object]:
    """The JSON documents of a text, one a line; anything else fails."""
    return [json.loads(line) for line in text.splitlines()]


def test_every_verb_takes_json() -> None:
    """A verb without --json is refused here: give it `json: Json = False`, and a line in the table above."""
    for command in commands():
        words = {one.word for one in options(command.function)}
        assert "--json" in words, f"tercel {' '.join(command.words)}: add `json: Json = False`"
    assert {command.words for command in commands()} == set(WORDS) | GOES_ON


@pytest.fixture
def filled(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Quotes of one instrument, a stored model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERCEL_REDIS", raising=False)
    take(save(tmp_path / "oanda.parquet", quote_table(9_000, step_ns=5 * NS_PER_S)))
    Registry().save(model())
    return tmp_path


@pytest.mark.parametrize("verb", WORDS, ids=" ".join)
def test_json_is_one_document_and_nothing_else(filled: Path, verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """One document on stdout and silence on stderr; or, when it cannot, nothing but an error whose status is the one it leaves with."""
    words, status = WORDS[verb]
    assert main.run([*verb, *words.format(filled).split(), "--json"]) == status
    output = capsys.readouterr()
    if status == 0:
        assert len(documents(output.out)) == 1
        assert output.err == ""
        return
    (found,) = documents(output.err)
    assert isinstance(found, dict)
    assert found["error"]["exit_code"] == status
    assert found["error"]["kind"] == errors.EXITS[status].kind
    assert found["error"]["message"]
    assert all(document == [] for document in documents(output.out))


@pytest.mark.parametrize("words", [["statsu"], ["doctor", "--jsn"], ["run", "--feed", "simulatr"], ["data", "improt"]])
def test_a_wrong_word_is_json_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was mistyped, the nearest word is in the message of one JSON document."""
    assert main.run([*words, "--json"]) == 2
    output = capsys.readouterr()
    (found,) = documents(output.err)
    assert isinstance(found, dict)
    assert found["error"]["kind"] == "config"
    assert "did you mean" in found["error"]["message"].lower()
    assert output.out == ""


def test_a_run_says_an_event_a_line(home: Path) -> None:
    """Each line of `run --json` is a document with the word of its event; stderr is silent."""
    done = tercel("run", "--for", "1ms", "--no-desk", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    events = [line["event"] for line in documents(done.stdout) if isinstance(line, dict)]
    assert events == ["starting", "trading", "page", "stopped", "ended"]


def test_the_page_shows_every_status() -> None:
    """docs/reference/exit-codes.md is the table of base.errors, and every error of ours has a status of it."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "exit-codes.md").read_text()
    for number, one in errors.EXITS.items():
        assert f"| {number} | {one.kind} | {one.meaning} | {one.remedy} |" in page
    pending, seen = [errors.TercelError], [CoreFault]
    while pending:
        kind = pending.pop()
        seen.append(kind)
        pending += kind.__subclasses__()
    for kind in seen:
        assert getattr(kind, "exit_code", 1) in errors.EXITS, kind
    assert len({one.kind for one in errors.EXITS.values()}) == len(errors.EXITS)
    assert (main.USAGE_ERROR, main.INTERRUPTED, main.PIPE_CLOSED) == (2, 130, 141)
