"""Models in place: bound to one program, in a table that the market phase looks into by number.

To bind a model reads and packs its trees, which takes long. A running trader therefore takes a model that somebody else has bound and
stored (`tercel.drivers.bound_file`), and has a place for it between two inputs.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.kernel import CACHE, address_of
from tercel.features.program import Program
from tercel.models.manifest import Manifest, Part, model_number
from tercel.models.model import Model
from tercel.models.packing import remap
from tercel.models.scoring import (
    MODELS_MAX,
    T_LONG,
    T_LONG_NODES,
    T_NEED,
    T_NUMBER,
    T_SHORT,
    T_SHORT_NODES,
    T_SLOPE,
    TABLE_WORDS,
)

Words = npt.NDArray[np.int64]
KEYS_MAX: Final = 1 << 16  # different tests of columns in the largest forest that can be placed


class Bound(NamedTuple):
    """A part of a model, bound to the registers of a program: its words of the table and the memory these will point to."""

    number: int
    meaning: int  # of kernels, program, barriers and edge: a core that runs others cannot take it
    seen_last_ns: int  # what it learnt from was known by then: before, it may not speak
    words: Words
    memory: tuple[Words, ...]  # required registers; rules and nodes of the long forest, then of the short one when there is one


def meaning_of(manifest: Manifest) -> int:
    """62 bits over what a core and a model must have in common: the kernels that read its packed form, program, barriers, edge to enter."""
    meaning = [CACHE.name, manifest.program, manifest.barriers, manifest.enter]
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(meaning)).digest()[:8], "little") >> 2


def bind(model: Model, part: Part, program: Program) -> Bound:
    """Bind a part of a model to the registers of a program; reads and packs its forests.

    Raises `ConfigError` when the model was trained on another program or is too large, `DataError` when it is damaged.
    """
    manifest = model.manifest
    if manifest.program != program.hash:
        expected, found = program.hash[:16], manifest.program[:16]
        raise ConfigError(f"model {model.name}: expected one of the feature program {expected}, it was trained on {found}; train again")
    words = np.zeros(TABLE_WORDS, np.int64)
    memory = [np.array([len(manifest.required), *map(program.register, manifest.required)], np.int64)]
    for file in filter(None, (part.long, part.short)):
        packed = model.forest(file).packed
        if packed.virtual >= KEYS_MAX:
            expected = f"expected fewer than {KEYS_MAX} different tests of columns"
            raise ConfigError(f"model {model.name}: {file}: {expected}, found {packed.virtual}; train with fewer leaves or trees")
        memory += [remap(packed, [program.register(name) for name in manifest.inputs]), packed.W]
    reals = words.view(np.float64)
    for at, one in zip((T_SLOPE, T_SLOPE + 4), (part.long_calibration, part.short_calibration), strict=True):
        reals[at : at + 4] = one.slope, one.offset, one.win, one.loss
    words[T_NUMBER] = model_number(manifest, part)
    return Bound(int(words[T_NUMBER]), meaning_of(manifest), part.seen_last_ns, words, tuple(memory))


class Placement:
    """The models of one core, by number. A model may be put in while the core runs: it is read only after a command names it."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.table = np.zeros(MODELS_MAX * TABLE_WORDS, np.int64)
        self._memory: dict[int, tuple[Words, ...]] = {}  # what the addresses point to, by number

    def keys(self) -> Words:
        """Memory for the keys of one row; each shard has its own."""
        return np.zeros(KEYS_MAX, np.int64)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The models in the table."""
        return tuple(self._memory)

    def place(self, model: Model, part: Part) -> int:
        """Bind a part of a model and put it in; its number. Raises what `bind` and `put` do."""
        number = model_number(model.manifest, part)
        return number if number in self._memory else self.put(bind(model, part, self._program))

    def put(self, bound: Bound) -> int:
        """Put in a bound model; its number. Nothing happens when it is there already. Raises `ConfigError` when the table is full."""
        if bound.number in self._memory:
            return bound.number
        if len(self._memory) == MODELS_MAX:
            raise ConfigError(f"models: {MODELS_MAX} are in place already, which is the most; take one out that is not in use")
        taken = {self._place_of(known) for known in self._memory}
        at = TABLE_WORDS * next(place for place in range(MODELS_MAX) if place not in taken)
        words = bound.words.copy()
        for place, array in zip((T_NEED, T_LONG, T_LONG_NODES, T_SHORT, T_SHORT_NODES), bound.memory, strict=False):
            words[place] = address_of(array)
        self._memory[bound.number] = bound.memory
        self.table[at + 1 : at + TABLE_WORDS] = words[1:]
        self.table[at + T_NUMBER] = bound.number  # last: whoever finds it finds a whole place
        return bound.number

    def remove(self, number: int) -> None:
        """Take a model out. No instrument may have it in place, or its rows would have no scores."""
        self.table[self._place_of(number) * TABLE_WORDS + T_NUMBER] = 0
        del self._memory[number]

    def _place_of(self, number: int) -> int:
        return int(np.flatnonzero(self.table[T_NUMBER::TABLE_WORDS] == number)[0])
