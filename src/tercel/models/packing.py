"""From trees as they were trained to the two flat tables that the kernels walk; the layout stands in `kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.models.kernels import (
    C_COLUMN,
    CATEGORY_ROW,
    CATEGORY_WORDS,
    CHILD_MASK,
    FEATURE_SHIFT,
    G_CATEGORICAL,
    G_COLUMNS,
    G_GROUPS,
    G_NUMERICAL,
    GROUP_TREES,
    GROUP_WORDS,
    HEAD_WORDS,
    LEFT_ALWAYS,
    NAN_ROW,
    NODE_WORDS,
    OTHER_ROW,
    RIGHT_ALWAYS,
    V_COLUMN,
    VIRTUAL_WORDS,
)
from tercel.models.lanes import LANES
from tercel.models.trees import (
    CATEGORICAL,
    NAN_IS_ZERO,
    NAN_LEFT,
    SET_LEFT,
    SET_RIGHT_NAN_LEFT,
    ZERO_LEFT,
    ZERO_RIGHT,
    Tree,
    Trees,
)

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Virtual = tuple[int, int]  # a column and a rule for missing values
Category = tuple[int, int, int]  # a column, a rule and a set of categories

TABLE_BYTES_MAX: Final = 1 << 28
LANE_LEAVES_MAX: Final = 64  # bits of a word
# Keys of `LANES` rows, half of a usual second cache. With 828 virtual features rows side by side took 1.1 µs and walked ones 1.7, with
# 1,439 of them, all but a few categorical, 10 and 3.
LANE_KEYS_BYTES_MAX: Final = 1 << 18
KEYS_BYTES: Final = 1 << 15  # of a block of rows: the first cache
BLOCK_MAX: Final = 4


class Packed(NamedTuple):
    """A forest ready to walk: the table `G` and the nodes `W`, which `V` shows as floats; and as batches take it."""

    G: Words
    W: Words
    V: Floats
    virtual: int
    Q: Words  # nodes for rows side by side; Q[0] is 0 when a tree has too many leaves, or a row too many keys
    L: Floats

    def keys(self) -> Words:
        """Fresh memory for the keys of one row; whoever walks at the same time needs memory of their own."""
        return np.empty(self.virtual + 1, np.int64)

    @property
    def block(self) -> int:
        """How many times `LANES` rows a block has: their keys fit into the first cache."""
        return max(1, min(BLOCK_MAX, KEYS_BYTES // (8 * LANES * max(self.virtual, 1))))

    def lane_memory(self) -> tuple[Words, Words, Floats]:
        """Fresh memory for the keys of one block, masks and leaves of its rows."""
        return np.empty(self.block * LANES * max(self.virtual, 1), np.int64), np.empty(LANES, np.int64), np.empty(LANES)


def sortable(values: npt.ArrayLike) -> Words:
    """What `kernels.key_of` gives for each value, -0.0 counted as 0.0."""
    words = (np.asarray(values, np.float64) + 0.0).view(np.int64)
    return words ^ ((words >> 63) & np.int64(RIGHT_ALWAYS))


def pack(model: Trees) -> Packed:
    """The tables of a model. Raises `DataError` when it has more nodes than 32 bits can number, or sets of too many categories."""
    names = [_names(tree) for tree in model.trees]
    numerical: list[Virtual] = sorted({name for tree in names for name in tree if len(name) == 2})
    categorical: list[Category] = sorted({name for tree in names for name in tree if len(name) == 3})
    numbers = dict(zip([*numerical, *categorical], range(len(numerical) + len(categorical)), strict=True))
    nodes_count = 2 + sum(2 * len(tree.columns) + 1 for tree in model.trees)
    if nodes_count * NODE_WORDS > CHILD_MASK:
        raise DataError(f"model: expected at most {CHILD_MASK // NODE_WORDS} nodes, found {nodes_count}")
    W = np.empty((nodes_count, NODE_WORDS), np.int64)
    W[0] = 0, len(numbers) << FEATURE_SHIFT  # a leaf of 0.0, which fills the last group
    W[1] = np.float64(model.intercept).view(np.int64), 0
    roots, depths, first = [], [], 2
    features = [[numbers[name] for name in tree] for tree in names]
    for tree, its in zip(model.trees, features, strict=True):
        roots.append(first * NODE_WORDS)
        depths.append(_pack_tree(tree, W, first, its, len(numbers)))
        first += 2 * len(tree.columns) + 1
    head = [len(numbers), -(-len(roots) // GROUP_TREES), len(model.feature_names), int(model.single), len(numerical)]
    before = [*head, len({name[0] for name in categorical}), *_virtual_words(numerical), *_group_words(roots, depths)]
    G = _with_categories(before, categorical, len(numerical))
    nodes = W.reshape(-1)
    return Packed(G, nodes, nodes.view(np.float64), len(numbers), *_lanes(model, features, len(numbers)))


def remap(packed: Packed, columns: Sequence[int]) -> Words:
    """A new table `G` in which the model's column c is read at `columns[c]`: registers of a program instead of columns of a row.

    `score_row` takes it in the place of `packed.G`; `score_rows`, which reads whole rows, does not.
    Raises `DataError` unless there is one number, not negative, for each column of the model.
    """
    places = np.array(columns, np.int64)
    if places.shape != (packed.G[G_COLUMNS],) or (places < 0).any():
        raise DataError(f"model: expected {packed.G[G_COLUMNS]} columns from 0 on, found {list(columns)[:8]}")
    G = packed.G.copy()
    groups = HEAD_WORDS + int(G[G_NUMERICAL]) * VIRTUAL_WORDS
    categories = groups + int(G[G_GROUPS]) * GROUP_WORDS
    end = categories + int(G[G_CATEGORICAL]) * CATEGORY_WORDS
    for rules in (G[HEAD_WORDS + V_COLUMN : groups : VIRTUAL_WORDS], G[categories + C_COLUMN : end : CATEGORY_WORDS]):
        rules[:] = places[rules]
    return G


def _names(tree: Tree) -> list[Virtual | Category]:
    """What each split asks of a row."""
    splits = zip(tree.columns, tree.rules, tree.thresholds, strict=True)
    return [(column, rule, tree.sets[int(cut)]) if rule in CATEGORICAL else (column, rule) for column, rule, cut in splits]


def _cuts(tree: Tree) -> list[int]:
    """The key of each threshold; whatever lies between the smallest and the largest does for a categorical split."""
    return [0 if rule in CATEGORICAL else key for key, rule in zip(sortable(tree.thresholds).tolist(), tree.rules, strict=True)]


def _pack_tree(tree: Tree, W: Words, first: int, features: list[int], never: int) -> int:
    """Write the nodes of a tree from node `first` on, level by level, children side by side; returns its depth.

    `features` are the virtual features of its splits, `never` the one under which nothing moves.
    """
    node, free, depth = first, first + 1, 0
    keys, values = _cuts(tree), np.array(tree.values).view(np.int64).tolist()
    for place, depth in tree.walk():  # noqa: B007 - the last depth is the tree's
        if place < 0:
            W[node] = values[~place], never << FEATURE_SHIFT | node * NODE_WORDS
        else:
            W[node] = keys[place], features[place] << FEATURE_SHIFT | free * NODE_WORDS
            free += 2
        node += 1
    return depth


def _lanes(model: Trees, features: list[list[int]], virtual: int) -> tuple[Words, Floats]:
    """The nodes and the leaves of every tree as `score_lanes` takes them."""
    if max((len(tree.values) for tree in model.trees), default=0) > LANE_LEAVES_MAX or 8 * LANES * virtual > LANE_KEYS_BYTES_MAX:
        return np.zeros(1, np.int64), np.zeros(1)
    words, leaves = [len(model.trees)], [model.intercept]
    for tree, its in zip(model.trees, features, strict=True):
        order, masks = _left_to_right(tree)
        # A tree without splits has a node that takes nothing away and a leaf that nothing reaches.
        words += [len(masks)] if masks else [1, 0, 0, -1]
        for feature, cut, mask in zip(its, _cuts(tree), masks, strict=True):
            words += [feature * LANES, cut + 1, ~mask]  # goes left below the next key
        leaves += [tree.values[leaf] for leaf in order] if masks else [tree.values[0], 0.0]
    return np.array(words, np.int64), np.array(leaves, np.float64)


def _left_to_right(tree: Tree) -> tuple[list[int], list[int]]:
    """The leaves from left to right, and for each split the leaves on its left as bits of an int64."""
    order: list[int] = []
    first = [0] * len(tree.columns)
    masks = [0] * len(tree.columns)
    todo: list[tuple[int, bool]] = [(0 if tree.columns else -1, False)]
    while todo:
        place, left_done = todo.pop()
        if place < 0:
            order.append(~place)
        elif left_done:
            mask = (1 << len(order)) - (1 << first[place])
            masks[place] = mask - (1 << 64) if mask >> 63 else mask
            todo.append((tree.right[place], False))
        else:
            first[place] = len(order)
            todo += [(place, True), (tree.left[place], False)]
    return order, masks


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


def _with_categories(words: list[int], categorical: list[Category], first: int) -> Words:
    """The table `G`: what stands before, a rule for each categorical column, and their tables."""
    columns = [list(group) for _, group in groupby(categorical, key=itemgetter(0))]
    # At least one, because what lies between -1 and 0 is category 0 in LightGBM, also where every set is empty.
    limits = [max(1, *(members.bit_length() for _, _, members in names)) for names in columns]
    sizes = [(CATEGORY_ROW + limit) * -(-len(names) // 64) for names, limit in zip(columns, limits, strict=True)]
    if 8 * sum(sizes) > TABLE_BYTES_MAX:
        raise DataError(f"model: expected sets of categories that take at most {TABLE_BYTES_MAX} bytes, found {8 * sum(sizes)}")
    place = len(words) + CATEGORY_WORDS * len(columns)
    rules, tables = list(words), []
    for names, limit, size in zip(columns, limits, sizes, strict=True):
        rules += [names[0][0], first, len(names), limit, place, -(-len(names) // 64)]
        tables.append(_table(names, limit))
        first, place = first + len(names), place + size
    return np.concatenate([np.array(rules, np.int64), *tables])


def _table(names: list[Category], limit: int) -> Words:
    """Bits of a column: for NaN, for what is no category and for each category, which of the splits send it left."""
    rows = np.zeros((CATEGORY_ROW + limit, -(-len(names) // 64)), np.uint64)
    for place, (_, rule, members) in enumerate(names):
        within = np.unpackbits(np.frombuffer(members.to_bytes(-(-limit // 8), "little"), np.uint8), bitorder="little", count=limit)
        left = np.empty(len(rows), np.uint64)
        left[NAN_ROW] = rule == SET_RIGHT_NAN_LEFT
        left[OTHER_ROW] = rule != SET_LEFT
        left[CATEGORY_ROW:] = within if rule == SET_LEFT else 1 - within
        rows[:, place >> 6] |= left << np.uint64(place & 63)
    return rows.reshape(-1).view(np.int64)
