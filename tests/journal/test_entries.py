from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tercel.base.errors import JournalError
from tercel.base.records import OUTPUT, TICK
from tercel.journal import entries
from tercel.journal.entries import Command, Config, Hash, Note, Order, Payload, Session

PAYLOADS: list[Payload] = [
    Session("main", 7, "paper", 1_400_000_000_000_000_000, "s", "l", "p", "0.1.0"),
    Config('[risk]\norder_lots_max = 3 # "äöü"\n'),
    Command(1, "operator", "too fast"),
    Hash(2**62, "ab" * 16),
    Note(entries.REWARMED, "gap of 3 minutes"),
    Order(9, entries.ref_of("ann-1"), "ann-1", "ann", 7, -1, 50_000, 108_412, 1_400_000_000_000_000_000, 3, 12, 0),
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_comes_back_from_its_bytes(payload: Payload) -> None:
    """Every kind has a number, a name and a struct."""
    kind, data = entries.encode(payload)
    assert entries.KIND_NAMES[kind] == type(payload).__name__.lower()
    assert entries.decode(kind, data) == payload


def test_numbers_of_kinds_never_change() -> None:
    """They stand in journals that outlive this program."""
    expected = {1: "session", 2: "config", 3: "outputs", 4: "command", 5: "hash", 6: "note", 7: "order"}
    assert expected == entries.KIND_NAMES


def test_the_bytes_of_a_command_never_change() -> None:
    """A msgpack map by field name, so that a field can be added later."""
    assert entries.encode(Command(1, "a", "b")) == (4, b"\x83\xa4code\x01\xa3who\xa1a\xa3why\xa1b")


def test_a_field_of_a_later_version_is_passed_over_and_a_missing_one_is_refused() -> None:
    """Newer may add; nothing may leave out."""
    assert entries.decode(entries.NOTE, msgspec.msgpack.encode({"about": "a", "text": "b", "later": 1})) == Note("a", "b")
    with pytest.raises(JournalError, match=r"kind note: Object missing required field `text`"):
        entries.decode(entries.NOTE, msgspec.msgpack.encode({"about": "a"}))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x83\xa4code\xa1x\xa3who\xa1a\xa3why\xa1b"])
def test_bytes_that_do_not_fit_are_refused_by_kind(data: bytes) -> None:
    """The error names the kind and what was wrong."""
    with pytest.raises(JournalError, match="journal entry of kind command"):
        entries.decode(entries.COMMAND, data)


def test_an_unknown_kind_is_refused() -> None:
    """Outputs have a decoder of their own."""
    for kind in (0, 3, 8):
        with pytest.raises(JournalError, match=f"found {kind}; read it with the Tercel that wrote it"):
            entries.decode(kind, b"")


def test_outputs_come_back_to_the_bit() -> None:
    """One or more, NaN included, read-only."""
    records = np.zeros(3, OUTPUT)
    records["order"], records["mid"] = [1, 2, 3], np.nan
    for count in (1, 3):
        found = entries.decode_outputs(entries.encode_outputs(records[:count]))
        assert found.dtype == OUTPUT
        assert found.tobytes() == records[:count].tobytes()
        assert not found.flags.writeable


def test_what_is_not_outputs_is_refused_both_ways() -> None:
    """Wrong dtype, none at all, or a length that is no multiple of a record."""
    for records in (np.zeros(2, TICK), np.zeros(0, OUTPUT)):
        with pytest.raises(JournalError, match="expected one or more OUTPUT records"):
            entries.encode_outputs(records)
    for data in (b"", bytes(127), bytes(129)):
        with pytest.raises(JournalError, match="expected a multiple of 128 bytes"):
            entries.decode_outputs(data)
