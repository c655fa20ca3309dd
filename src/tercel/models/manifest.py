"""What a trained model is, in one JSON document: the program it needs, its barriers, its parts, files and their hashes."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from tercel.features.spec import Bars, Feature, FeatureSet
from tercel.models.barriers import TripleBarrier

FORMAT: Final = 1
FINAL: Final = "final"


class Calibration(msgspec.Struct, frozen=True):
    """From a raw score to a probability and an edge. `win` and `loss` in widths, costs included; both positive.

    probability that the trade ends above its costs = 1 / (1 + exp(-(slope * raw + offset))); edge = probability * win - (1 - probability) *
    loss. Source: J. Platt, Probabilistic outputs for support vector machines, 1999; fitted on data later than the trees saw.
    """

    slope: float
    offset: float
    win: float
    loss: float


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of forests and the stretch of time it may speak about.

    A fold's part trades [test_first_ns, test_last_ns) of a back-test, which it never saw; the part called "final" has seen everything and
    trades only what comes after `seen_last_ns`. Without a `short` file the sides mirror: the score of a sale is minus that of a buy.
    """

    name: str
    long: str  # file of the forest that scores a buy
    short: str = ""
    long_calibration: Calibration
    short_calibration: Calibration
    seen_first_ns: int  # decisions it was trained or calibrated on begin here
    seen_last_ns: int  # and the last of their labels was known here
    test_first_ns: int = 0
    test_last_ns: int = 0
    instrument: str = ""  # the one it is for; "" for all that have no part of their own


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a model. `program` is the hash of the feature program; `files` maps file names to SHA-256 hex digits."""

    format: int = FORMAT
    name: str
    version: int = 0  # 0 until it is registered
    program: str
    clock: Bars
    features: tuple[Feature, ...]
    anchor: str = ""  # the instant at which the features' state begins; "" the first input of a run
    inputs: tuple[str, ...]  # columns the forests read, in their order
    required: tuple[str, ...] = ()  # those of them that are known in every row but the first: without them there is no score
    barriers: TripleBarrier
    enter: float  # edge, in widths, from which a side is taken
    parts: tuple[Part, ...]
    instruments: tuple[str, ...] = ()
    data: dict[str, Any] = {}  # fingerprint of what it was trained on
    training: dict[str, Any] = {}  # parameters, seeds, versions of libraries, trials
    metrics: dict[str, Any] = {}
    files: dict[str, str] = {}

    @property
    def feature_set(self) -> FeatureSet:
        """The feature set its program is compiled from."""
        return FeatureSet(self.clock, self.features, self.anchor)

    def part(self, name: str, instrument: str = "") -> Part:
        """The part of this name for an instrument, else the shared one. Raises KeyError."""
        found = {part.instrument: part for part in self.parts if part.name == name}
        return found[instrument] if instrument in found else found[""]


def encode(manifest: Manifest) -> bytes:
    """Canonical JSON: equal manifests are equal bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)


def decode(content: bytes) -> Manifest:
    """The manifest in a JSON document. Raises `msgspec.DecodeError` or `msgspec.ValidationError` with the place."""
    return msgspec.json.decode(content, type=Manifest)


def model_number(manifest: Manifest, part: Part) -> int:
    """What the core calls a part: 62 bits of SHA-256 over what decides its scores; never 0."""
    files = [manifest.files.get(part.long, part.long), manifest.files.get(part.short, part.short)]
    meaning = [manifest.program, list(manifest.inputs), list(manifest.required), files, part.long_calibration, part.short_calibration]
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(meaning)).digest()[:8], "little") >> 2 | 1
