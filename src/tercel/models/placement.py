"""The table of models in place: what a command by number finds when the market phase scores a row."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.kernel import address_of
from tercel.features.program import Program
from tercel.models.manifest import Calibration, Part, model_number
from tercel.models.model import Model
from tercel.models.packing import remap
from tercel.models.scoring import (
    MODELS_MAX,
    T_LONG,
    T_LONG_NODES,
    T_LOSS,
    T_NUMBER,
    T_OFFSET,
    T_SHORT,
    T_SHORT_NODES,
    T_SIDE_WORDS,
    T_SLOPE,
    T_WIN,
    TABLE_WORDS,
)

KEYS_MAX: Final = 1 << 16  # virtual features of the largest forest that can be placed


class Placement:
    """Models of one program, by number. `place` may be called while the core runs: a place is read only after a command names its number."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.table = np.zeros(MODELS_MAX * TABLE_WORDS, np.int64)
        self._memory: dict[int, tuple[Any, ...]] = {}  # what the addresses point to, by number

    def keys(self) -> npt.NDArray[np.int64]:
        """Memory for the keys of one row; one for each shard."""
        return np.zeros(KEYS_MAX, np.int64)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The models in the table."""
        return tuple(self._memory)

    def place(self, model: Model, part: Part) -> int:
        """Put a part of a model into the table; its number. Nothing happens when it is there already.

        Raises `ConfigError` when the model was trained on another program, is too large, or the table is full.
        """
        manifest = model.manifest
        if manifest.program != self._program.hash:
            expected, found = self._program.hash[:16], manifest.program[:16]
            raise ConfigError(f"model {model.name}: expected one of the feature program {expected}, it was trained on {found}; train again")
        number = model_number(manifest, part)
        if number in self._memory:
            return number
        if len(self._memory) == MODELS_MAX:
            raise ConfigError(f"model {model.name}: {MODELS_MAX} models are in place already; restart, or `remove` one that is not in use")
        registers = [self._program.register(name) for name in manifest.inputs]
        memory: list[Any] = []
        words = np.zeros(TABLE_WORDS, np.int64)
        sides = ((part.long, part.long_calibration, T_LONG), (part.short, part.short_calibration, T_SHORT))
        for side, (file, calibration, at) in enumerate(sides):
            self._calibrate(words.view(np.float64), side, calibration)
            if not file:
                continue
            packed = model.forest(file).packed
            if packed.virtual >= KEYS_MAX:
                raise ConfigError(f"model {model.name}: {file}: expected fewer than {KEYS_MAX} different tests of columns, found {packed.virtual}")
            bound = remap(packed, registers)
            memory += [bound, packed.W]
            words[at], words[at + T_LONG_NODES - T_LONG] = address_of(bound), address_of(packed.W)
        taken = {self._place_of(known) for known in self._memory}
        free = next(place for place in range(MODELS_MAX) if place not in taken)
        self._memory[number] = tuple(memory)
        at = free * TABLE_WORDS
        self.table[at + 1 : at + TABLE_WORDS] = words[1:]
        self.table[at + T_NUMBER] = number  # last: whoever looks for it finds a whole place
        return number

    def remove(self, number: int) -> None:
        """Take a model out of the table. No slot may have it in place, or its rows would have no scores."""
        self.table[self._place_of(number) * TABLE_WORDS + T_NUMBER] = 0
        del self._memory[number]

    def _place_of(self, number: int) -> int:
        return int(np.flatnonzero(self.table[T_NUMBER::TABLE_WORDS] == number)[0])

    @staticmethod
    def _calibrate(reals: npt.NDArray[np.float64], side: int, calibration: Calibration) -> None:
        at = side * T_SIDE_WORDS
        reals[at + T_SLOPE], reals[at + T_OFFSET] = calibration.slope, calibration.offset
        reals[at + T_WIN], reals[at + T_LOSS] = calibration.win, calibration.loss


assert T_SHORT_NODES - T_SHORT == T_LONG_NODES - T_LONG
