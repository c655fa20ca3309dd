"""A trader process that is killed while it takes an order by hand: `TERCEL_DIE_AT` says where."""

from __future__ import annotations

import os
import signal
from typing import Any

from tercel.base.records import ORDER
from tercel.drivers import launch
from tercel.drivers.trader import Trader
from tercel.observe.control import ControlServer, Request

PLACES = ("asked", "logged", "kept", "answered")


def die_at(place: str) -> None:
    """Let this process kill itself with an order asked for, in the log, in the journal, or answered."""
    give, keep, acknowledge = Trader._give, Trader._keep_outputs, ControlServer.acknowledge
    giving = False

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def dying_give(self: Trader, *words: Any) -> Any:
        nonlocal giving
        giving = True
        if place == "asked":
            die()
        return give(self, *words)

    def dying_keep(self: Trader, at: int) -> None:
        if giving and place == "logged":
            die()
        keep(self, at)

    def dying_acknowledge(self: ControlServer, request: Request, *words: Any) -> None:
        if place == "kept" and request.command == ORDER:
            die()
        acknowledge(self, request, *words)
        if place == "answered" and request.command == ORDER:
            die()

    Trader._give, Trader._keep_outputs, ControlServer.acknowledge = dying_give, dying_keep, dying_acknowledge  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    die_at(os.environ["TERCEL_DIE_AT"])
    launch.main()
