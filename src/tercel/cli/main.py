"""The command `tercel`: finds the verb, loads only its file, prints errors for people.

A verb is a line in `VERBS` and a file beside this one: a plain function whose arguments are the options and whose docstring is the help,
or a cyclopts `App` of the verb's name when it has verbs of its own. A verb returns nothing, or its exit status.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tercel import __version__
from tercel.base.errors import EXITS, ConfigError, TercelError

if TYPE_CHECKING:
    from cyclopts import App

USAGE_ERROR: Final = 2
JSON: Final = "--json"
COMPLETE: Final = "__complete"  # asked by shells, with the shell and the line so far
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it
PIPE_CLOSED: Final = 141  # 128 + SIGPIPE
OPTIONS: Final = ("-h", "--help", "--version")


class Verb(NamedTuple):
    """Where a verb lives ("module:attribute") and the line that the overview shows."""

    target: str
    line: str


VERBS: Final = {
    "new": Verb("tercel.cli.new:new", "Make a folder to begin in: settings, a strategy, its test, the next commands."),
    "demo": Verb("tercel.cli.demo:demo", "Back-test and trade on paper once: your data, or a simulated market."),
    "data": Verb("tercel.cli.data:app", "Import, list and inspect history."),
    "feed": Verb("tercel.cli.feed:app", "Watch or record a live venue's market data."),
    "train": Verb("tercel.cli.train:train", "Train a model on recorded history and judge it honestly."),
    "backtest": Verb("tercel.cli.backtest:backtest", "Trade recorded history and report."),
    "models": Verb("tercel.cli.models:app", "List, show, verify and stage trained models."),
    "run": Verb("tercel.cli.run:run", "Start trading and the desk beside it."),
    "status": Verb("tercel.cli.status:status", "Show what the running trader does."),
    "order": Verb("tercel.cli.order:order", "Give an order by hand."),
    "halt": Verb("tercel.cli.halt:halt", "Stop sending orders, now."),
    "resume": Verb("tercel.cli.resume:resume", "Let orders be sent again after a halt."),
    "why": Verb("tercel.cli.why:why", "Explain why an order was, or was not, sent."),
    "config": Verb("tercel.cli.config:app", "Show and check the settings as they are used."),
    "check": Verb("tercel.cli.check:app", "Prove on your own data that nothing looks ahead."),
    "cache": Verb("tercel.cli.cache:app", "See, warm, clear and measure the caches of running processes."),
    "doctor": Verb("tercel.cli.doctor:doctor", "Say what is missing on this machine and how to mend it."),
    "completion": Verb("tercel.cli.completion:completion", "Make your shell complete verbs, options and names."),
}


def build(chosen: str = "") -> App:
    """The command line with every verb known by name and none loaded; the help of the `chosen` verb stays its own."""
    from cyclopts import App

    app = App(
        name="tercel",
        help="Market data in, orders out: research, back-test and paper trading with one core.",
        version=f"tercel {__version__}",
        help_format="plaintext",
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for place, (name, verb) in enumerate(VERBS.items()):
        app.command(verb.target, name=name, help=None if name == chosen else verb.line, sort_key=place)
    app["--help"].group = app["--version"].group = "Options"
    return app


def check_verb(tokens: Sequence[str]) -> None:
    """Raise `ConfigError` with the nearest verb when the first word is none. Done here because cyclopts would load every verb to say so."""
    word = tokens[0] if tokens else "--help"
    if word in VERBS or word in OPTIONS:
        return
    import difflib

    kind, known = ("option", OPTIONS) if word.startswith("-") else ("verb", tuple(VERBS))
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the {kind}s are {', '.join(known)}"
    raise ConfigError(f"tercel: there is no {kind} {word!r}; {hint}")


def run(tokens: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit status.

    Errors meant for people go to stderr in one line, with `--json` as {"error": {"kind", "message", "exit_code"}}.
    """
    from cyclopts import CycloptsError

    as_json = JSON in tokens
    try:
        check_verb(tokens)
        result = build(*tokens[:1])(list(tokens))
    except TercelError as error:
        return _complain(error.kind, str(error), error.exit_code, as_json)
    except CycloptsError as error:
        help_words = "" if as_json else f" (see: tercel {' '.join([*tokens[:1], '--help'])})"
        text = " ".join(str(error).rstrip(".").split())
        return _complain(EXITS[USAGE_ERROR].kind, f"{text}{help_words}", USAGE_ERROR, as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`tercel … | head`): nothing may be written any more, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        if not as_json:
            raise
        return _complain(
            EXITS[TercelError.exit_code].kind, f"{type(error).__name__}: {error}; this is a bug of ours", TercelError.exit_code, as_json
        )
    return result if isinstance(result, int) else 0


def _complain(kind: str, text: str, status: int, as_json: bool) -> int:
    if as_json:
        import json

        print(json.dumps({"error": {"kind": kind, "message": text, "exit_code": status}}, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"error: {text}", file=sys.stderr)
    return status


def main() -> None:
    """The entry point of the command: run the words it was given and leave with their status."""
    if sys.argv[1:2] == [COMPLETE] and len(sys.argv) == 4:
        from tercel.cli.complete import answer

        print(answer(sys.argv[2], sys.argv[3]))
        return
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
