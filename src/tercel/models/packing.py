"""From trees as they were trained to the two flat tables that the kernels walk; the layout stands in `kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.models.kernels import (
    CHILD_MASK,
    FEATURE_SHIFT,
    G_COLUMNS,
    G_VIRTUAL,
    GROUP_TREES,
    HEAD_WORDS,
    LEFT_ALWAYS,
    NODE_WORDS,
    RIGHT_ALWAYS,
    V_COLUMN,
    VIRTUAL_WORDS,
)
from tercel.models.trees import NAN_IS_ZERO, NAN_LEFT, ZERO_LEFT, ZERO_RIGHT, Tree, Trees

Words = npt.NDArray[np.int64]
Virtual = tuple[int, int]  # a column and a rule for missing values


class Packed(NamedTuple):
    """A forest ready to walk: the table `G` and the nodes `W`, which `V` shows as floats."""

    G: Words
    W: Words
    V: npt.NDArray[np.float64]
    virtual: int

    def keys(self) -> Words:
        """Fresh memory for the keys of one row; whoever walks at the same time needs memory of their own."""
        return np.empty(self.virtual + 1, np.int64)


def sortable(values: npt.ArrayLike) -> Words:
    """What `kernels.key_of` gives for each value, -0.0 counted as 0.0."""
    words = (np.asarray(values, np.float64) + 0.0).view(np.int64)
    return words ^ ((words >> 63) & np.int64(RIGHT_ALWAYS))


def pack(model: Trees) -> Packed:
    """The tables of a model. Raises `DataError` when it has more nodes than 32 bits can number."""
    virtual = sorted({pair for tree in model.trees for pair in zip(tree.columns, tree.rules, strict=True)})
    nodes_count = 2 + sum(2 * len(tree.columns) + 1 for tree in model.trees)
    if nodes_count * NODE_WORDS > CHILD_MASK:
        raise DataError(f"model: expected at most {CHILD_MASK // NODE_WORDS} nodes, found {nodes_count}")
    W = np.empty((nodes_count, NODE_WORDS), np.int64)
    W[0] = 0, len(virtual) << FEATURE_SHIFT  # a leaf of 0.0, which fills the last group
    W[1] = np.float64(model.intercept).view(np.int64), 0
    numbers = {pair: number for number, pair in enumerate(virtual)}
    roots, depths, first = [], [], 2
    for tree in model.trees:
        roots.append(first * NODE_WORDS)
        depths.append(_pack_tree(tree, W, first, numbers))
        first += 2 * len(tree.columns) + 1
    head = [len(virtual), -(-len(roots) // GROUP_TREES), len(model.feature_names), int(model.single)]
    G = np.array([*head, *_virtual_words(virtual), *_group_words(roots, depths)], np.int64)
    nodes = W.reshape(-1)
    return Packed(G, nodes, nodes.view(np.float64), len(virtual))


def remap(packed: Packed, columns: Sequence[int]) -> Words:
    """A new table `G` in which the model's column c is read at `columns[c]`: registers of a program instead of columns of a row.

    `score_row` takes it in the place of `packed.G`; `score_rows`, which reads whole rows, does not.
    Raises `DataError` unless there is one number, not negative, for each column of the model.
    """
    places = np.array(columns, np.int64)
    if places.shape != (packed.G[G_COLUMNS],) or (places < 0).any():
        raise DataError(f"model: expected {packed.G[G_COLUMNS]} columns from 0 on, found {list(columns)[:8]}")
    G = packed.G.copy()
    rules = G[HEAD_WORDS : HEAD_WORDS + G[G_VIRTUAL] * VIRTUAL_WORDS].reshape(-1, VIRTUAL_WORDS)
    rules[:, V_COLUMN] = places[rules[:, V_COLUMN]]
    return G


def _pack_tree(tree: Tree, W: Words, first: int, numbers: dict[Virtual, int]) -> int:
    """Write the nodes of a tree from node `first` on, level by level, children side by side; returns its depth."""
    node, free, depth = first, first + 1, 0
    keys, values = sortable(tree.thresholds).tolist(), np.array(tree.values).view(np.int64).tolist()
    for place, depth in tree.walk():  # noqa: B007 - the last depth is the tree's
        if place < 0:
            W[node] = values[~place], len(numbers) << FEATURE_SHIFT | node * NODE_WORDS
        else:
            W[node] = keys[place], numbers[tree.columns[place], tree.rules[place]] << FEATURE_SHIFT | free * NODE_WORDS
            free += 2
        node += 1
    return depth


def _virtual_words(virtual: list[Virtual]) -> list[int]:
    """Column, whether zero is missing, and the key of a missing value, for each virtual feature."""
    words: list[int] = []
    for column, rule in virtual:
        goes_left = rule in (NAN_LEFT, ZERO_LEFT)
        key = int(sortable(0.0)) if rule == NAN_IS_ZERO else LEFT_ALWAYS if goes_left else RIGHT_ALWAYS
        words += [column, int(rule in (ZERO_LEFT, ZERO_RIGHT)), key]
    return words


def _group_words(roots: list[int], depths: list[int]) -> list[int]:
    """Depth of the deepest and the eight roots, for every eight trees in their order."""
    words: list[int] = []
    for start in range(0, len(roots), GROUP_TREES):
        group = roots[start : start + GROUP_TREES]
        words += [max(depths[start : start + GROUP_TREES]), *group, *[0] * (GROUP_TREES - len(group))]
    return words
