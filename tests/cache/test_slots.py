"""Whose map of the cluster is believed: one that knows an owner for every slot before one that has a hole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tercel.cache.address import Address
from tercel.cache.node import Link
from tercel.cache.reading import Unavailable
from tercel.cache.slots import SLOTS, Slots

INFO = b"cluster_current_epoch:7\r\n"
SEEDS: list[Address] = [("one", 1), ("two", 2), ("three", 3)]


def said(last: int) -> list[Any]:
    """A CLUSTER SLOTS answer that knows the owners of the slots from 0 to `last`."""
    return [[0, 99, [b"a", 7001, b"id"]], [100, last, [b"b", 7002, b"id"]]]


def asked(answers: dict[Address, Any], monkeypatch: pytest.MonkeyPatch) -> dict[Address, list[int]]:
    """The map that a client makes of what strangers answer; None: no answer."""
    slots = Slots(
        SEEDS, Link(prefix="t:", whole=False), cluster=True, skew_ms=0, heard=lambda keys: None, state=lambda up: None,
        moved=lambda slots: None,
    )  # fmt: skip

    async def stranger(address: Address) -> Any:
        if answers[address] is None:
            raise Unavailable("nobody there")
        return answers[address]

    monkeypatch.setattr(slots, "_ask_stranger", stranger)
    return asyncio.run(slots._ask_map())


@pytest.mark.parametrize("first", [None, (said(SLOTS - 2), INFO), ([], INFO)])
def test_a_whole_map_is_preferred(first: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that does not answer, knows no owner for a slot, or nothing at all, is passed over for one that knows all."""
    found = asked({SEEDS[0]: first, SEEDS[1]: (said(SLOTS - 1), INFO), SEEDS[2]: None}, monkeypatch)
    assert {address: len(slots) for address, slots in found.items()} == {("a", 7001): 100, ("b", 7002): SLOTS - 100}


def test_without_a_whole_map_the_fullest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a cluster is served by those who are there; with nobody there, there is no map."""
    found = asked({SEEDS[0]: (said(200), INFO), SEEDS[1]: (said(9_000), INFO), SEEDS[2]: (said(300), INFO)}, monkeypatch)
    assert sum(map(len, found.values())) == 9_001
    assert asked(dict.fromkeys(SEEDS), monkeypatch) == {}
