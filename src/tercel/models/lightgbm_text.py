"""Reads the text in which LightGBM keeps a model, without LightGBM.

Understood: versions v3 and v4, numerical splits with each of the three kinds of missing values, categorical splits, any objective with one
score per row. A category is a number in its column, as LightGBM sees it; what a data frame's words became is the caller's knowledge.
Refused by name: linear trees, several classes, averaged output (random forests), anything unknown or cut off.
Source: `Tree::ToString`, `GBDT::SaveModelToString`, `Tree::NumericalDecision` and `Tree::CategoricalDecision` of LightGBM 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from tercel.base.errors import DataError
from tercel.models.trees import NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, SET_LEFT, ZERO_LEFT, ZERO_RIGHT, Tree, Trees, read_bytes

COLUMNS_MAX: Final = 1 << 20
VERSIONS: Final = ("v3", "v4")
# decision_type: 1 is "categorical", 2 "missing goes left", 4 "zero is missing", 8 "NaN is missing"; a categorical split knows no missing.
RULES: Final = {
    0: NAN_IS_ZERO, 2: NAN_IS_ZERO, 4: ZERO_RIGHT, 6: ZERO_LEFT, 8: NAN_RIGHT, 10: NAN_LEFT, 1: SET_LEFT, 5: SET_LEFT, 9: SET_LEFT,
}  # fmt: skip
SET_WORD_MAX: Final = 0xFFFF_FFFF
Number = TypeVar("Number", int, float)


class Block(NamedTuple):
    """The `key=value` lines between two headings, each with the number of its line."""

    where: str
    line: int
    fields: dict[str, tuple[str, int]]

    def refuse(self, key: str, expected: str, found: object) -> DataError:
        """The error that says what was wrong with a field."""
        line = self.fields[key][1] if key in self.fields else self.line
        return DataError(f"{self.where}:{line}: {key}: expected {expected}, found {found}")

    def text(self, key: str, default: str | None = None) -> str:
        """The text of a field. Raises `DataError` when it is absent and has no default."""
        if key in self.fields:
            return self.fields[key][0]
        if default is None:
            raise self.refuse(key, "a line", "none (is the file cut off?)")
        return default

    def integer(self, key: str, default: str | None = None) -> int:
        """A field of one integer."""
        return self._parsed(key, int, self.text(key, default))

    def numbers(self, key: str, kind: type[Number], count: int) -> tuple[Number, ...]:
        """A field of exactly `count` numbers, none of them NaN."""
        words = self.text(key, None if count else "").split()
        if len(words) != count:
            raise self.refuse(key, f"{count} numbers", len(words))
        found = tuple(self._parsed(key, kind, word) for word in words)
        if any(map(math.isnan, found)):
            raise self.refuse(key, f"{count} numbers", "NaN among them")
        return found

    def _parsed(self, key: str, kind: Callable[[str], Number], word: str) -> Number:
        try:
            if "_" not in word and len(word) < 64:
                return kind(word)
        except ValueError:
            pass
        raise self.refuse(key, "a number", repr(word[:40]))


def load(path: Path) -> Trees:
    """The model in a file of LightGBM's `save_model`. Raises `DataError` with file and line."""
    content = read_bytes(path)
    try:
        return parse(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, found byte {content[error.start]:#04x} at {error.start}") from error


def parse(content: str, where: str = "model") -> Trees:
    """The model in a text of LightGBM's `model_to_string`; `where` stands in errors. Raises `DataError` with the line."""
    head, *blocks = _blocks(content, where)
    names, objective = _header(head)
    sizes = head.text("tree_sizes", "").split()
    if "tree_sizes" in head.fields and len(sizes) != len(blocks):
        raise head.refuse("tree_sizes", f"one for each of {len(blocks)} trees", len(sizes))
    trees = tuple(_tree(block, len(names)) for block in blocks)
    return Trees(feature_names=names, trees=trees, objective=objective, sigmoid=_sigmoid(head, objective))


def _blocks(content: str, where: str) -> Iterator[Block]:
    """The header, then one block per tree, in order; what follows "end of trees" is of no use for predicting."""
    lines = content.split("\n")
    if lines[0].strip() != "tree":
        raise DataError(f"{where}:1: expected the line 'tree' of a LightGBM text model, found {lines[0][:40]!r}")
    block, trees = Block(where, 1, {}), 0
    for number, line in enumerate(lines[1:], 2):
        word = line.strip()
        if word == "end of trees":
            yield block
            return
        key, equals, value = word.partition("=")
        if key == "Tree":
            yield block
            if value != str(trees):
                raise DataError(f"{where}:{number}: expected Tree={trees}, found {word[:40]!r}")
            block, trees = Block(where, number, {}), trees + 1
        elif key in block.fields:
            raise DataError(f"{where}:{number}: expected {key[:40]!r} once, found it again after line {block.fields[key][1]}")
        elif equals or (key and not trees):
            block.fields[key] = value, number
        elif key:
            raise DataError(f"{where}:{number}: expected key=value in Tree={trees - 1}, found {word[:40]!r}")
    raise DataError(f"{where}:{len(lines)}: expected the line 'end of trees', found the end of the text: it is cut off")


def _header(head: Block) -> tuple[tuple[str, ...], str]:
    """Names of the columns and the objective. Raises `DataError` for kinds of models that are not understood."""
    if head.text("version") not in VERSIONS:
        raise head.refuse("version", f"one of {', '.join(VERSIONS)}", head.text("version")[:40])
    for key in ("num_class", "num_tree_per_iteration"):
        if head.integer(key) != 1:
            raise head.refuse(key, "1 (multiclass models are not supported: train one model per class)", head.integer(key))
    if "average_output" in head.fields:
        raise head.refuse("average_output", "a sum of trees (random forests, boosting=rf, are not supported)", "averaged output")
    columns = head.integer("max_feature_idx") + 1
    names = tuple(head.text("feature_names").split())
    if not 1 <= columns <= COLUMNS_MAX:
        raise head.refuse("max_feature_idx", f"0 to {COLUMNS_MAX - 1}", columns - 1)
    if len(names) != columns:
        raise head.refuse("feature_names", f"{columns} names, as max_feature_idx says", len(names))
    return names, head.text("objective", "")


def _sigmoid(head: Block, objective: str) -> float:
    """The factor of a binary objective, such as 1.0 in "binary sigmoid:1"; NaN for every other."""
    words = objective.split()
    if "binary" not in words[:1]:
        return math.nan
    for word in words[1:]:
        name, _, number = word.partition(":")
        try:
            if name == "sigmoid" and 0.0 < float(number) < math.inf:
                return float(number)
        except ValueError:
            break
    raise head.refuse("objective", "binary with a positive sigmoid, such as 'binary sigmoid:1'", repr(objective[:40]))


def _tree(block: Block, columns: int) -> Tree:
    """One tree. Raises `DataError` for what is not supported, out of range or no tree."""
    leaves = block.integer("num_leaves")
    # Two bytes per leaf is less than any text of it: a count that cannot be true never sizes anything.
    if not 1 <= leaves <= 1 + len(block.text("leaf_value")):
        raise block.refuse("num_leaves", "as many as there are leaf values", leaves)
    if block.integer("is_linear", "0"):
        raise block.refuse("is_linear", "0 (linear trees are not supported: train with linear_tree=false)", block.integer("is_linear"))
    splits = leaves - 1
    tree = Tree(
        columns=block.numbers("split_feature", int, splits),
        thresholds=block.numbers("threshold", float, splits),
        rules=tuple(_rule(block, code) for code in block.numbers("decision_type", int, splits)),
        left=block.numbers("left_child", int, splits),
        right=block.numbers("right_child", int, splits),
        values=block.numbers("leaf_value", float, leaves),
        sets=_sets(block),
    )
    for threshold, rule in zip(tree.thresholds, tree.rules, strict=True):
        if rule == SET_LEFT and not (threshold.is_integer() and 0 <= threshold < len(tree.sets)):
            raise block.refuse("threshold", f"the number of one of {len(tree.sets)} sets of categories", threshold)
    if any(map(math.isinf, tree.values)):
        raise block.refuse("leaf_value", "finite numbers", "an infinite one")
    strange = next((column for column in tree.columns if not 0 <= column < columns), None)
    if strange is not None:
        raise block.refuse("split_feature", f"columns from 0 to {columns - 1}", strange)
    _check_shape(block, tree, leaves)
    return tree


def _sets(block: Block) -> tuple[int, ...]:
    """The sets of categories, each a range of 32-bit words. Raises `DataError` when the ranges do not follow one another."""
    count = block.integer("num_cat", "0")
    if not count:
        return ()
    # As with leaves: a count that cannot be true never sizes anything.
    if not 0 < count < len(block.text("cat_boundaries")):
        raise block.refuse("num_cat", "as many sets as cat_boundaries has", count)
    bounds = block.numbers("cat_boundaries", int, count + 1)
    if bounds[0] or any(first > last for first, last in pairwise(bounds)):
        raise block.refuse("cat_boundaries", "numbers that rise from 0", " ".join(map(str, bounds))[:40])
    words = block.numbers("cat_threshold", int, bounds[-1])
    if any(not 0 <= word <= SET_WORD_MAX for word in words):
        raise block.refuse("cat_threshold", f"words from 0 to {SET_WORD_MAX}", "one outside")
    memory = b"".join(word.to_bytes(4, "little") for word in words)
    return tuple(int.from_bytes(memory[4 * first : 4 * last], "little") for first, last in pairwise(bounds))


def _rule(block: Block, code: int) -> int:
    if code not in RULES:
        raise block.refuse("decision_type", f"one of {', '.join(map(str, RULES))}", code)
    return RULES[code]


def _check_shape(block: Block, tree: Tree, leaves: int) -> None:
    """Refuse children out of range, reached twice, or out of reach of the root."""
    seen = {0} if tree.columns else {-1}
    for key, children in (("left_child", tree.left), ("right_child", tree.right)):
        for place, child in enumerate(children):
            if not -leaves <= child < leaves - 1 or child in seen:
                raise block.refuse(key, "each split and each leaf once", f"{child} under split {place}")
            seen.add(child)
    # Each has one parent, so what the root does not reach is a ring.
    reached = sum(1 for _ in tree.walk())
    if reached != 2 * leaves - 1:
        raise block.refuse("left_child", f"{2 * leaves - 1} splits and leaves below the root", reached)
