"""What the trader writes into the journal: small numbers for the kinds and a frozen struct for each payload.

Payloads are msgpack maps, so a later Tercel may add a field with a default and still read what this one wrote; outputs are the raw
bytes of their `OUTPUT` records. Numbers and field names are never reused for another meaning.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np

from tercel.base.errors import JournalError
from tercel.base.records import OUTPUT, Records

SESSION, CONFIG, OUTPUTS, COMMAND, HASH, NOTE, ORDER = 1, 2, 3, 4, 5, 6, 7
KIND_NAMES: Final = {
    SESSION: "session", CONFIG: "config", OUTPUTS: "outputs", COMMAND: "command", HASH: "hash", NOTE: "note", ORDER: "order",
}  # fmt: skip

REWARMED, RECOVERED = "rewarmed", "recovered"
"""What a `Note` is about: market state rebuilt by warm-up, or from snapshot and input log."""


class Session(msgspec.Struct, frozen=True):
    """A start of the trader; `epoch` is the fencing token, durable before anything is sent under it."""

    account: str
    epoch: int
    mode: str  # back-test, paper or live
    started_ns: int  # ns since 1970 UTC
    settings_hash: str
    layout_hash: str
    program_hash: str
    tercel_version: str
    feed: str = ""  # what the account is fed with: another feed is another account
    market_inputs: int = 0  # market records that came in before: where a feed continues


class Config(msgspec.Struct, frozen=True):
    """The configuration as resolved at start, secrets left out by the writer."""

    text: str


class Command(msgspec.Struct, frozen=True):
    """What an operator or a guard ordered: `code` as in `base.records`, by whom and why."""

    code: int
    who: str
    why: str


class Hash(msgspec.Struct, frozen=True):
    """The core's state hash behind input `input_number`, in hex."""

    input_number: int
    state_hash: str


class Note(msgspec.Struct, frozen=True):
    """Something a reader of the journal must know, such as that the session is `REWARMED`."""

    about: str
    text: str


class Order(msgspec.Struct, frozen=True):
    """An order that a person gave and the core's answer to it. It stands in one batch with the outputs of that input, before them."""

    input_number: int
    ref: int  # names it in the input log: `ref_of` its client_id
    client_id: str  # what its giver calls it; "" when a crash left its ref alone
    who: str
    instrument: int
    side: int
    size: int  # in 10^-size_decimals
    price: int  # the limit in 10^-price_decimals; 0 at the market
    time_ns: int  # core time
    epoch: int  # with `order` the id of what was sent
    order: int  # 0: it was denied
    code: int  # the reason of a denial, 0: it was sent


Payload = Session | Config | Command | Hash | Note | Order
_STRUCTS: Final[dict[int, type[Payload]]] = {
    SESSION: Session, CONFIG: Config, COMMAND: Command, HASH: Hash, NOTE: Note, ORDER: Order,
}  # fmt: skip
_KINDS: Final = {struct: kind for kind, struct in _STRUCTS.items()}
_DECODERS: Final = {kind: msgspec.msgpack.Decoder(struct) for kind, struct in _STRUCTS.items()}
_encode: Final = msgspec.msgpack.Encoder().encode


def ref_of(client_id: str) -> int:
    """63 bits that stand for a client_id where 64 characters have no place."""
    return int.from_bytes(blake2b(client_id.encode(), digest_size=8).digest(), "little") >> 1


def encode(payload: Payload) -> tuple[int, bytes]:
    """(kind, bytes) of a payload, as `Journal.append` takes them."""
    return _KINDS[type(payload)], _encode(payload)


def encode_outputs(records: Records) -> bytes:
    """The bytes of one or more `OUTPUT` records, for an entry of kind `OUTPUTS`. Raises `JournalError` for anything else."""
    if records.dtype != OUTPUT or records.size == 0:
        raise JournalError(f"outputs entry: expected one or more OUTPUT records, found {records.size} of {records.dtype}")
    return records.tobytes()


def decode(kind: int, payload: bytes) -> Payload:
    """The payload of an entry of any kind but `OUTPUTS`. Raises `JournalError` for an unknown kind or for bytes that do not fit it."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise JournalError(f"journal entry: expected kind {_known(_STRUCTS)}, found {kind}; read it with the Tercel that wrote it")
    try:
        return decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise JournalError(f"journal entry of kind {KIND_NAMES[kind]}: {error}; read it with the Tercel that wrote it") from error


def decode_outputs(payload: bytes) -> Records:
    """The `OUTPUT` records of an entry of kind `OUTPUTS`, read-only and sharing its memory. Raises `JournalError` for a wrong length."""
    if not payload or len(payload) % OUTPUT.itemsize:
        raise JournalError(f"outputs entry: expected a multiple of {OUTPUT.itemsize} bytes, found {len(payload)}")
    return np.frombuffer(payload, OUTPUT)


def _known(kinds: dict[int, type[Payload]]) -> str:
    return ", ".join(f"{kind} ({KIND_NAMES[kind]})" for kind in kinds)
