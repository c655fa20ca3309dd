"""Invalidations on their way: owed from before they are sent until they are acknowledged, and sent again until they are."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tercel.cache import envelope
from tercel.cache.envelope import TOMBSTONE
from tercel.cache.reading import Unavailable
from tercel.cache.slots import Slots

OWED_MAX: Final = 10_000
SETTLE_S: Final = 0.1
TOMBSTONE_MS: Final = 10_000


class Voids:
    """What makes keys void: a tombstone over a value, another nonce for a tag (a key that begins with `tags_prefix`).

    At most 10,000 are owed; beyond that an invalidation is refused, says False and is counted. `own` runs work in a task with an owner.
    """

    def __init__(
        self, slots: Slots, tags_prefix: str, counts: Counter[str], own: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
    ) -> None:
        self.owed: dict[str, bytes] = {}
        """Full keys whose invalidation is not acknowledged, each with a number that tells one attempt from the next."""
        self._slots, self._tags_prefix, self._counts, self._own = slots, tags_prefix, counts, own
        self._settling: asyncio.Task[Any] | None = None

    async def deliver(self, full: str) -> bool:
        """Send what makes a key's content void. A caller that is cancelled meanwhile changes nothing: it is delivered, now or later."""
        if len(self.owed) >= OWED_MAX:
            self._counts["undelivered"] += 1
            return False
        self.owed[full] = number = secrets.token_bytes(4)
        done: bool = await asyncio.shield(self._own(self._attempt(full, number)))
        return done

    async def _attempt(self, full: str, number: bytes) -> bool:
        try:
            await self._void(full)
        except Unavailable:
            self._counts["undelivered"] += 1
            if self._settling is None or self._settling.done():
                self._settling = self._own(self._settle_owed())
            return False
        if self.owed.get(full) == number:
            del self.owed[full]
        return True

    async def _settle_owed(self) -> None:
        """Deliver what is owed, again and again until nothing is."""
        while self.owed:
            await asyncio.sleep(SETTLE_S)
            for full, number in list(self.owed.items()) if self._slots.up else ():
                try:
                    await self._void(full)
                except Unavailable:
                    break
                if self.owed.get(full) == number:
                    del self.owed[full]

    async def _void(self, full: str) -> None:
        if full.startswith(self._tags_prefix):
            command: tuple[Any, ...] = ("SET", full, str(secrets.randbits(32)))
        else:
            command = ("SET", full, envelope.pack(TOMBSTONE, secrets.randbits(32), 0, 0, 0, (), b""), "PX", str(TOMBSTONE_MS))
        try:
            await self._slots.command(full, *command)
        except Unavailable as error:
            if "OOM" not in str(error):
                raise
            # A full server still forgets, and others hear of it where there was something to forget; then there may be room again.
            if not await self._slots.command(full, "UNLINK", full) or not full.startswith(self._tags_prefix):
                await self._slots.command(full, *command)
