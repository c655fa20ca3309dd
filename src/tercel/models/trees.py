"""Trees of decisions as they were trained: what a reader returns and the packing takes, whatever file they came from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from tercel.base.errors import DataError

BYTES_MAX: Final = 1 << 30

# What a split does with a value that is missing. A NaN where NaN is no missing value counts as zero.
NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT = 0, 1, 2, 3, 4  # the last two: zero is missing, and so is NaN
# What a categorical split does: the first sends its set left and everything else right, the others their set right, NaN as they say and
# everything else left.
SET_LEFT, SET_RIGHT_NAN_LEFT, SET_RIGHT_NAN_RIGHT = 5, 6, 7
CATEGORICAL: Final = (SET_LEFT, SET_RIGHT_NAN_LEFT, SET_RIGHT_NAN_RIGHT)


class Tree(msgspec.Struct, frozen=True):
    """A tree of n splits and n + 1 leaves. Split 0 is the root; a child c >= 0 is a split, c < 0 is the leaf ~c.

    A value goes left when it is <= the threshold. At a categorical split the threshold is the place of its set in `sets`, and the value is
    cut to an integer. Readers guarantee that no threshold is NaN, that sets are there, that leaves are finite, and that each split but the
    root, and each leaf, is the child of exactly one split.
    """

    columns: tuple[int, ...]
    thresholds: tuple[float, ...]
    rules: tuple[int, ...]  # NAN_IS_ZERO … SET_RIGHT_NAN_RIGHT
    left: tuple[int, ...]
    right: tuple[int, ...]
    values: tuple[float, ...]  # of the leaves
    sets: tuple[int, ...] = ()  # of categories: c is in the set when bit c is set

    def walk(self) -> Iterator[tuple[int, int]]:
        """Every split and leaf with its depth, level by level from the root; a tree without splits is the leaf ~0 alone."""
        level, depth = [0 if self.columns else -1], 0
        while level:
            yield from ((place, depth) for place in level)
            level = [child for place in level if place >= 0 for child in (self.left[place], self.right[place])]
            depth += 1


class Trees(msgspec.Struct, frozen=True, kw_only=True):
    """A whole model: the raw score of a row is the intercept and one leaf per tree, added in the order of the trees."""

    feature_names: tuple[str, ...]
    trees: tuple[Tree, ...]
    objective: str  # as the trainer wrote it; "" when it was trained for an objective of the user's own
    sigmoid: float = math.nan  # of a binary objective: probability = 1 / (1 + exp(-sigmoid * score)); NaN for every other
    intercept: float = 0.0
    # Float32 arithmetic: each value of a row and each sum is rounded, near zero is not zero; thresholds and leaves are float32 numbers.
    single: bool = False


def read_bytes(path: Path) -> bytes:
    """The content of a model's file. Raises `DataError` when it cannot be read or is larger than any model should be."""
    try:
        size = path.stat().st_size
        if size > BYTES_MAX:
            raise DataError(f"{path}: expected at most {BYTES_MAX} bytes of model, found {size}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
