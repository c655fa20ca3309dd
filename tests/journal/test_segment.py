from __future__ import annotations

import pytest

from tercel.journal import segment
from tests.journal.samples import entry


def encoded(number: int) -> bytes:
    item = entry(number, 5)
    return segment.encode_entry(item.kind, item.number, item.input_number, item.payload)


ENTRIES = [encoded(number) for number in range(1, 5)]
BODY = len(ENTRIES[0]) * 4
WHOLE = b"".join(ENTRIES) + segment.encode_marker(4, 64 + BODY, 64)


@pytest.mark.parametrize(
    "content",
    [
        b"".join(ENTRIES[1:]) + segment.encode_marker(4, 64 + len(ENTRIES[0]) * 3, 64),
        b"".join([*ENTRIES[:1], *ENTRIES[2:]]) + segment.encode_marker(4, 64 + len(ENTRIES[0]) * 3, 64),
        b"".join(ENTRIES[:3]) + segment.encode_marker(4, 64 + len(ENTRIES[0]) * 3, 64),
        b"".join([ENTRIES[1], ENTRIES[0], *ENTRIES[2:]]) + segment.encode_marker(4, 64 + BODY, 64),
        b"".join(ENTRIES) + segment.encode_marker(4, 64 + BODY - 1, 64),
        b"".join(ENTRIES) + segment.encode_entry(segment.MARKER_KIND, 4, 0, b""),
    ],
    ids=["first missing", "middle missing", "last missing", "swapped", "marker of another place", "empty marker"],
)
def test_whole_entries_in_the_wrong_place_are_no_batch(content: bytes) -> None:
    """Checksums alone do not make a batch: numbers and places must fit too."""
    found = segment.scan(content, 64, 0, 10)
    assert (found.entries, found.end, found.last, found.stop) == ([], 64, 0, segment.BAD)


def test_a_batch_that_stands_twice_counts_once() -> None:
    """The second copy has numbers that are taken."""
    found = segment.scan(WHOLE + WHOLE, 64, 0, 10)
    assert found.entries == [entry(number, 5) for number in range(1, 5)]
    assert (found.end, found.last, found.stop, found.stop_offset) == (64 + len(WHOLE), 4, segment.BAD, 64 + len(WHOLE))


def test_only_a_marker_in_its_own_place_vouches() -> None:
    """A copy of one, as in the payload of an entry that quotes a journal, proves nothing; nor does a damaged one."""
    marker = segment.encode_marker(9, 64 + 100, 64 + 50)
    assert segment.vouched(bytes(100) + marker, 64, 64)
    assert segment.vouched(bytes(100) + marker, 64, 64 + 49)
    assert not segment.vouched(bytes(100) + marker, 64, 64 + 50)
    assert not segment.vouched(bytes(99) + marker, 64, 64)
    assert not segment.vouched(bytes(100) + marker[:-1], 64, 64)
    assert not segment.vouched(bytes(100) + marker[:30] + b"?" + marker[31:], 64, 64)


def test_a_length_beyond_the_bound_is_wrong_and_not_waited_for() -> None:
    """Otherwise a flipped length would look like a batch that is still being written."""
    found = segment.scan((segment.ENTRY_BYTES_MAX + 1).to_bytes(4, "little") + WHOLE[4:], 64, 0, 10)
    assert (found.stop, found.stop_offset) == (segment.BAD, 64)
