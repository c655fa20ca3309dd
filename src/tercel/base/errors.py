"""Errors name who must act. The text says what, where, expected, found and what to do."""

from __future__ import annotations

from typing import Final, NamedTuple


class Exit(NamedTuple):
    """An exit status of the command: the word programs see, what it means, what to do."""

    kind: str
    meaning: str
    remedy: str


EXITS: Final[dict[int, Exit]] = {
    0: Exit("ok", "It did what was asked; a run that was stopped, by Ctrl-C too, is one of these.", "Nothing."),
    1: Exit("failed", "It could not, or a check found what it was looking for.", "Read the line; it names what was found."),
    2: Exit("config", "A word, an option, a setting or a name is wrong; nothing was begun.", "Mend what the line names and call again."),
    3: Exit("data", "A file or stored data is not what it should be; nothing of it was used.", "Import it again, or restore a backup."),
    4: Exit("journal", "The record of what happened cannot be read or written; nothing is traded.", "Free the disk or restore the folder."),
    5: Exit("venue", "A venue does not answer.", "Look at the connection, then call again; no order is ever sent twice."),
    6: Exit("rejected", "An order was refused; the text begins with the stable reason.", "The reason says what helps."),
    7: Exit("not_running", "No trader runs for that account.", "Start one with `tercel run`, or name another --account."),
    8: Exit("fault", "The core met something it must not guess about and halted before it.", "Keep the account's folder and report it."),
    9: Exit("full", "A bound on what may be written was reached; what was written stays.", "Raise the bound, or make room first."),
    130: Exit("interrupted", "It was interrupted before it had begun to trade, or while it worked.", "Nothing: it left nothing half done."),
    141: Exit("pipe_closed", "The reader of its output went away, such as `head`.", "Nothing."),
}
"""Every exit status there is. The numbers and words are stable; docs/reference/exit-codes.md shows this table."""


class TercelError(Exception):
    """Base of every error this package raises on purpose; the command line prints it without a traceback."""

    exit_code = 1

    @property
    def kind(self) -> str:
        """The word of its exit status."""
        return EXITS[self.exit_code].kind if self.exit_code in EXITS else EXITS[TercelError.exit_code].kind


class ConfigError(TercelError):
    """The operator must act: refuse to start."""

    exit_code = 2


class DataError(TercelError):
    """A file or a stored partition is not what it should be: nothing of it is used, the catalog is untouched."""

    exit_code = 3


class FeedDataError(TercelError):
    """A live message is wrong: drop it, count it, resynchronise."""

    exit_code = 3


class MissingExtra(ConfigError):
    """An optional dependency is not installed; the text names the extra that brings it."""


class JournalError(TercelError):
    """The record of what happened cannot be read or written: stop trading."""

    exit_code = 4


class VenueUnavailable(TercelError):
    """A venue does not answer: retry, never resend an order."""

    exit_code = 5


class OrderRejected(TercelError):
    """The strategy decides what to do next; `code` is the stable reason."""

    exit_code = 6

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class NotRunning(TercelError):
    """The trader that a command wants to reach is not there."""

    exit_code = 7
