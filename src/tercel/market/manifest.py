"""The manifest: one JSON file that is the only truth about what the catalog contains.

Everything else in the catalog is either named by it or a leftover. It is replaced by rename, so a crash at any moment leaves the old
catalog or the new one. The instrument table lives in it too: append-only, ids from 1, never reused; a name's last row is valid.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import BASIS_ASK, BASIS_BID, BASIS_MID, BASIS_TRADE
from tercel.base.time import NS_PER_S, clock_ns, format_duration
from tercel.market.instruments import Instrument

Kind = Literal["quote", "trade", "bar", "book", "order"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
BASES: Final = {"trade": BASIS_TRADE, "bid": BASIS_BID, "ask": BASIS_ASK, "mid": BASIS_MID}
FILE: Final = "manifest.json"
LOCK: Final = "writer.lock"
LOCK_POLL_S: Final = 0.02
VERSION: Final = 2  # 2: series of quotes and trades may hold gaps. What 1 wrote is read, and becomes 2 with the next change
SOURCES_MAX: Final = 10_000  # newest sources remembered per series; older ones are forgotten, the rows are not


class Key(NamedTuple):
    """What one series of the catalog holds; `interval_ns` is 0 and `basis` "" unless it is made of bars."""

    symbol: str
    venue: str
    kind: Kind
    interval_ns: int = 0
    basis: str = ""

    @property
    def name(self) -> str:
        """The instrument's name."""
        return f"{self.symbol}@{self.venue}"

    @property
    def what(self) -> str:
        """For people: "quote", "bar 1m bid"."""
        return f"bar {format_duration(self.interval_ns)} {self.basis}" if self.kind == "bar" else self.kind

    @property
    def folder(self) -> str:
        """Where its partitions lie, relative to the catalog."""
        bars = f"/interval={format_duration(self.interval_ns)}/basis={self.basis}" if self.kind == "bar" else ""
        return f"kind={self.kind}/venue={self.venue}/symbol={self.symbol}{bars}"


class Part(msgspec.Struct, frozen=True):
    """One Parquet file: the rows of a date (a month or a year for longer bars). `fingerprint` is a hash of the records, 32 hex digits."""

    date: str
    path: str
    rows: int
    first_ns: int
    last_ns: int
    bytes: int
    fingerprint: str


class Source(msgspec.Struct, frozen=True):
    """A file that brought rows: its name, a hash of its bytes, and how it was read."""

    name: str
    digest: str
    format: str
    timezone: str


class Series(msgspec.Struct):
    """All partitions of one key, in time order, and where they came from."""

    key: Key
    parts: list[Part]
    sources: list[Source] = []


class Manifest(msgspec.Struct):
    """The instrument table and every series."""

    version: int = VERSION
    instruments: list[Instrument] = []
    series: list[Series] = []

    def find(self, key: Key) -> Series | None:
        """The series of a key."""
        return next((series for series in self.series if series.key == key), None)

    def instrument(self, name: str) -> Instrument | None:
        """The valid definition of "SYMBOL@venue"."""
        return next((one for one in reversed(self.instruments) if one.name == name), None)

    def define(self, wanted: Instrument) -> Instrument:
        """The registered definition equal to `wanted` but for its id; appended with the next id when the name has none, or another one."""
        found = self.instrument(wanted.name)
        if found is not None and msgspec.structs.replace(wanted, id=found.id) == found:
            return found
        added = msgspec.structs.replace(wanted, id=max((one.id for one in self.instruments), default=0) + 1)
        self.instruments.append(added)
        return added


def load(root: Path) -> Manifest:
    """The manifest of a catalog folder, an empty one when there is none yet. Raises `DataError` when it cannot be read."""
    path = root / FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except (msgspec.DecodeError, OSError) as error:
        raise DataError(f"{path}: expected the catalog's manifest, found something else ({error}); restore it from a backup") from error
    if not 1 <= manifest.version <= VERSION:
        raise DataError(f"{path}: expected version 1 to {VERSION}, found {manifest.version}; use the Tercel that wrote it")
    return manifest


def save(root: Path, manifest: Manifest) -> None:
    """Replace the manifest of a catalog folder, durably and in one step."""
    manifest.version = VERSION
    manifest.series.sort(key=lambda series: series.key)
    staged = root / f".{FILE}.tmp"
    with staged.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    staged.replace(root / FILE)
    sync_folder(root)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(root: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the catalog's writer lock; raises `ConfigError` when another process has it for longer than `wait_s`. A crash releases it."""
    import fcntl

    root.mkdir(parents=True, exist_ok=True)
    until = clock_ns() + round(wait_s * NS_PER_S)
    with (root / LOCK).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if clock_ns() >= until:
                    raise ConfigError(
                        f"catalog {root}: another process is writing to it, such as an import; wait until it has finished, then start again"
                    ) from None
            time.sleep(LOCK_POLL_S)
        yield


def kind_of(text: str) -> Kind:
    """`text` as a kind of series; raises `ConfigError` for anything else."""
    if text not in KINDS:
        raise ConfigError(f"kind: expected one of {', '.join(KINDS)}, found {text!r}")
    return text
