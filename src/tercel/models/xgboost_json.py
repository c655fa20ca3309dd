"""Reads the JSON in which XGBoost keeps a model, without XGBoost.

Understood: the booster gbtree with numerical and categorical splits, one score per row and an objective of `IDENTITY` or `LOGISTIC`. A
category is a number in its column; what a data frame's words became is the caller's knowledge.
Refused by name: dart and linear boosters, several classes or targets, other objectives, anything damaged.
Source: XGBoost's "JSON schema of the model", `LogisticRegression::ProbToMargin`, `common::Decision` and the CPU predictor of version 3.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tercel.base.errors import DataError
from tercel.models.trees import NAN_LEFT, NAN_RIGHT, SET_RIGHT_NAN_LEFT, SET_RIGHT_NAN_RIGHT, Tree, Trees, read_bytes

IDENTITY: Final = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")  # the intercept is base_score itself
LOGISTIC: Final = ("binary:logistic", "reg:logistic")  # the intercept is the logit of base_score
COLUMNS_MAX: Final = 1 << 20
LEAF: Final = -1
# By whether a split is categorical and whether missing values go left.
RULES: Final = {
    (False, True): NAN_LEFT, (False, False): NAN_RIGHT, (True, True): SET_RIGHT_NAN_LEFT, (True, False): SET_RIGHT_NAN_RIGHT,
}  # fmt: skip
SETS_BYTES_MAX: Final = 1 << 24  # of one tree, a bit for each category up to the largest
CATEGORIES_MAX: Final = 1 << 24  # what XGBoost itself takes for a category: integers that float32 tells apart


class _Tree(msgspec.Struct, frozen=True):
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    default_left: list[int | bool]
    split_type: list[int] = msgspec.field(default_factory=list)  # 1: categorical
    categories: list[int] = msgspec.field(default_factory=list)
    categories_nodes: list[int] = msgspec.field(default_factory=list)
    categories_segments: list[int] = msgspec.field(default_factory=list)
    categories_sizes: list[int] = msgspec.field(default_factory=list)


class _Forest(msgspec.Struct, frozen=True):
    trees: list[_Tree]


class _Booster(msgspec.Struct, frozen=True):
    name: str
    model: _Forest | None = None  # other boosters keep theirs elsewhere


class _Parameters(msgspec.Struct, frozen=True):
    base_score: str
    num_feature: str
    num_class: str = "0"
    num_target: str = "1"


class _Objective(msgspec.Struct, frozen=True):
    name: str


class _Learner(msgspec.Struct, frozen=True):
    gradient_booster: _Booster
    learner_model_param: _Parameters
    objective: _Objective
    feature_names: list[str] = msgspec.field(default_factory=list)


class _Model(msgspec.Struct, frozen=True):
    learner: _Learner


def load(path: Path) -> Trees:
    """The model in a file of XGBoost's `save_model("….json")`. Raises `DataError` with the place in the file."""
    return parse(read_bytes(path), str(path))


def parse(content: bytes | bytearray, where: str = "model") -> Trees:
    """The model in a text of XGBoost's `save_raw("json")`; `where` stands in errors. Raises `DataError` with the place."""
    try:
        learner = msgspec.json.decode(content, type=_Model).learner
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{where}: expected an XGBoost JSON model: {error}") from error
    booster, parameters, objective = learner.gradient_booster, learner.learner_model_param, learner.objective.name
    if booster.name != "gbtree" or booster.model is None:
        raise _refused(where, "gradient_booster.name", "gbtree (dart and linear boosters are not supported)", booster.name)
    if parameters.num_class not in ("0", "1") or parameters.num_target != "1":
        found = f"num_class {parameters.num_class}, num_target {parameters.num_target}"
        raise _refused(where, "learner_model_param", "one class and one target (multiclass models are not supported)", found)
    if objective not in IDENTITY + LOGISTIC:
        raise _refused(where, "objective.name", f"one of {', '.join(IDENTITY + LOGISTIC)}", objective)
    columns = _number(where, "num_feature", parameters.num_feature, int)
    names = tuple(learner.feature_names) or tuple(f"f{column}" for column in range(min(columns, COLUMNS_MAX)))
    if not 1 <= columns <= COLUMNS_MAX or len(names) != columns:
        raise _refused(where, "num_feature", f"1 to {COLUMNS_MAX}, as many as feature_names", columns)
    return Trees(
        feature_names=names,
        trees=tuple(_tree(f"{where}: trees[{number}]", tree, columns) for number, tree in enumerate(booster.model.trees)),
        objective=objective,
        sigmoid=1.0 if objective == "binary:logistic" else math.nan,
        intercept=_intercept(where, parameters.base_score, objective in LOGISTIC),
        single=True,
    )


def _refused(where: str, key: str, expected: str, found: object) -> DataError:
    return DataError(f"{where}: {key}: expected {expected}, found {str(found)[:60]}")


def _number(where: str, key: str, text: str, kind: Any) -> Any:
    """The number in a text, as XGBoost keeps parameters."""
    try:
        return kind(text[:40])
    except ValueError:
        raise _refused(where, key, "a number", repr(text)) from None


def _intercept(where: str, text: str, logistic: bool) -> float:
    """The score before the first tree, in float32; since version 3 base_score stands in brackets."""
    base = np.float32(_number(where, "base_score", text.removeprefix("[").removesuffix("]"), float))
    if not np.isfinite(base) or (logistic and not 0.0 < base < 1.0):
        raise _refused(where, "base_score", "a probability between 0 and 1" if logistic else "a finite number", text)
    one = np.float32(1.0)
    return float(-np.float32(math.log(one / base - one))) if logistic else float(base)


def _tree(where: str, tree: _Tree, columns: int) -> Tree:
    """One tree, its splits and leaves numbered level by level from the root; nodes that pruning left behind are not reached."""
    count = len(tree.left_children)
    lengths = {len(part) for part in (tree.right_children, tree.split_indices, tree.split_conditions, tree.default_left)}
    if not count or lengths != {count}:
        raise _refused(where, "left_children", "as many nodes in every list, at least one", sorted({count, *lengths}))
    sets = _sets(where, tree)
    splits, leaves, names = _reached(where, tree, count)
    strange = next((tree.split_indices[node] for node in splits if not 0 <= tree.split_indices[node] < columns), None)
    if strange is not None:
        raise _refused(where, "split_indices", f"columns from 0 to {columns - 1}", strange)
    with np.errstate(over="ignore"):
        conditions = np.array(tree.split_conditions, np.float32)
    before = np.nextafter(conditions, np.float32(-math.inf))
    if not np.isfinite(conditions[leaves]).all():
        raise _refused(where, "split_conditions", "finite leaves in float32", "an infinite one")
    places = {node: place for place, node in enumerate(node for node in splits if node in sets)}
    thresholds = dict(zip(splits, before[splits].astype(float).tolist(), strict=True)) | {
        node: float(place) for node, place in places.items()
    }
    return Tree(
        columns=tuple(tree.split_indices[node] for node in splits),
        thresholds=tuple(thresholds[node] for node in splits),
        rules=tuple(RULES[node in sets, bool(tree.default_left[node])] for node in splits),
        sets=tuple(sets[node] for node in places),
        left=tuple(names[tree.left_children[node]] for node in splits),
        right=tuple(names[tree.right_children[node]] for node in splits),
        values=tuple(conditions[leaves].astype(float).tolist()),
    )


def _sets(where: str, tree: _Tree) -> dict[int, int]:
    """The set of categories of each categorical node. Raises `DataError` unless each has exactly one."""
    marked = {node for node, kind in enumerate(tree.split_type) if kind}
    counts = {len(tree.categories_nodes), len(tree.categories_segments), len(tree.categories_sizes)}
    if len(counts) > 1 or marked != set(tree.categories_nodes) or len(marked) != len(tree.categories_nodes):
        raise _refused(where, "categories_nodes", "each node of split_type 1 once, with a segment and a size", tree.categories_nodes)
    sets, size_bytes = {}, 0
    for node, first, size in zip(tree.categories_nodes, tree.categories_segments, tree.categories_sizes, strict=True):
        chosen = tree.categories[first : first + size] if first >= 0 and size >= 0 else []
        if len(chosen) != size or any(not 0 <= category < CATEGORIES_MAX for category in chosen):
            raise _refused(where, "categories", f"{size} categories from 0 to {CATEGORIES_MAX - 1} at {first}", chosen)
        memory = bytearray(max(chosen, default=0) // 8 + 1)
        size_bytes += len(memory)
        if size_bytes > SETS_BYTES_MAX:
            raise _refused(where, "categories", f"sets of at most {SETS_BYTES_MAX} bytes in a tree", f"more at node {node}")
        for category in chosen:
            memory[category >> 3] |= 1 << (category & 7)
        sets[node] = int.from_bytes(memory, "little")
    return sets


def _reached(where: str, tree: _Tree, count: int) -> tuple[list[int], list[int], dict[int, int]]:
    """(splits, leaves, new number of each). Refuses children out of range or reached twice, so that every way down ends."""
    splits: list[int] = []
    leaves: list[int] = []
    names: dict[int, int] = {}
    level = [0]
    while level:
        below = []
        for node in level:
            if not 0 <= node < count or node in names:
                raise _refused(where, "left_children", "each node below the root at most once", node)
            if tree.left_children[node] == LEAF:
                names[node] = ~len(leaves)
                leaves.append(node)
            else:
                names[node] = len(splits)
                splits.append(node)
                below += [tree.left_children[node], tree.right_children[node]]
        level = below
    return splits, leaves, names
