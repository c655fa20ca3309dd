"""The words of an order by hand in the control block: what a client asks, and what the trader says to it.

Both are JSON of at most 256 bytes, because that is what a slot holds: a client_id is therefore up to 64 printable characters of ASCII.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec

from tercel.base.errors import DataError

CLIENT_ID: Final = r"^[ -~]{1,64}$"
INTEGER_MAX: Final = 2**62  # of a size or a price; limits lie far below
ClientId = Annotated[str, msgspec.Meta(pattern=CLIENT_ID)]


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """An order for the instrument with this id: `side` 1 or -1, `size` and `price` integers in its decimals, `price` 0 at the market."""

    client_id: ClientId
    instrument: int
    side: Literal[1, -1]
    size: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
    price: Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """What came of it, as an entry of the journal holds it; `repeated`: the client_id had been given with this very order before."""

    input_number: int
    time_ns: int
    epoch: int
    order: int
    code: int
    repeated: bool


Words = TypeVar("Words", Asked, Answered)


def text_of(words: Asked | Answered) -> str:
    """The words as a slot holds them."""
    return msgspec.json.encode(words).decode()


def read(text: str, kind: type[Words]) -> Words:
    """The words in a slot. Raises `DataError` for any others."""
    try:
        return msgspec.json.decode(text.encode(), type=kind)
    except msgspec.MsgspecError as error:
        raise DataError(f"order: {error}; client and trader must be of one version") from error
