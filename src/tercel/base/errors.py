"""Errors name who must act. The text says what, where, expected, found and what to do."""

from __future__ import annotations


class TercelError(Exception):
    """Base of every error this package raises on purpose; the command line prints it without a traceback."""

    exit_code = 1


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
