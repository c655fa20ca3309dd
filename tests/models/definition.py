"""The textbook way through a forest, and LightGBM's text written by hand: judges that know nothing of keys, nodes or groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tercel.models.trees import CATEGORICAL, NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, SET_LEFT, ZERO_LEFT, ZERO_RIGHT, Tree, Trees

ZERO_MAX = float(np.float32(1e-35))
DECISION_TYPE = {NAN_IS_ZERO: 2, NAN_LEFT: 10, NAN_RIGHT: 8, ZERO_LEFT: 6, ZERO_RIGHT: 4, SET_LEFT: 9}


def goes_left(value: float, threshold: float, rule: int) -> bool:
    """LightGBM's `NumericalDecision`, after the predictor has dropped values near zero."""
    if abs(value) <= ZERO_MAX:
        value = 0.0
    if math.isnan(value) and rule not in (NAN_LEFT, NAN_RIGHT):
        value = 0.0
    if math.isnan(value) or (value == 0.0 and rule in (ZERO_LEFT, ZERO_RIGHT)):
        return rule in (NAN_LEFT, ZERO_LEFT)
    return value <= threshold


def in_set(value: float, members: int) -> bool:
    """LightGBM's `CategoricalDecision`: cut to an integer, then looked up; NaN and what no int holds are in no set."""
    return not math.isnan(value) and -1.0 < value < 2.0**31 and bool(members >> int(value) & 1)


def score(model: Trees, row: Sequence[float]) -> float:
    """One leaf per tree, summed in order."""
    total = 0.0
    for tree in model.trees:
        place = 0 if tree.columns else -1
        while place >= 0:
            value, cut, rule = row[tree.columns[place]], tree.thresholds[place], tree.rules[place]
            left = in_set(value, tree.sets[int(cut)]) if rule == SET_LEFT else goes_left(value, cut, rule)
            place = tree.left[place] if left else tree.right[place]
        total += tree.values[~place]
    return total


def tree_text(number: int, tree: Tree) -> str:
    """One tree as LightGBM writes it, without what predicting does not need."""
    fields: dict[str, Sequence[object]] = {
        "num_leaves": [len(tree.values)],
        "num_cat": [len(tree.sets)],
        "split_feature": tree.columns,
        "threshold": [repr(value) for value in tree.thresholds],
        "decision_type": [DECISION_TYPE[rule] for rule in tree.rules],
        "left_child": tree.left,
        "right_child": tree.right,
        "leaf_value": [repr(value) for value in tree.values],
        **_set_fields(tree),
        "is_linear": [0],
        "shrinkage": [1],
    }
    return f"Tree={number}\n" + "".join(f"{key}={' '.join(map(str, words))}\n" for key, words in fields.items()) + "\n\n"


def _set_fields(tree: Tree) -> dict[str, Sequence[object]]:
    """The sets of categories as ranges of 32-bit words."""
    bounds, words = [0], list[int]()
    for members in tree.sets:
        words += [members >> at & 0xFFFF_FFFF for at in range(0, max(members.bit_length(), 1), 32)]
        bounds.append(len(words))
    return {"cat_boundaries": bounds, "cat_threshold": words} if tree.sets else {}


def model_text(model: Trees) -> str:
    """A whole model as LightGBM reads it."""
    names = model.feature_names
    head = f"""tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx={len(names) - 1}
objective={model.objective}
feature_names={" ".join(names)}
feature_infos={" ".join(["[-1:1]"] * len(names))}

"""
    return head + "".join(tree_text(number, tree) for number, tree in enumerate(model.trees)) + "end of trees\n"


def hard_rows(model: Trees, count: int, seed: int) -> npt.NDArray[np.float64]:
    """Random rows in which half of the cells are a threshold of their column, one ulp beside it, or a value that is easily mistaken."""
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(count, len(model.feature_names)))
    special = [
        np.nan,
        np.nan,
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        1e-36,
        -1e-36,
        ZERO_MAX,
        -ZERO_MAX,
        np.nextafter(ZERO_MAX, 1.0),
        5e-324,
        -2e-310,
        1e308,
    ]
    for column in range(rows.shape[1]):
        splits = [split for tree in model.trees for split in zip(tree.columns, tree.thresholds, tree.rules, strict=True)]
        cuts = [cut for at, cut, rule in splits if at == column and rule not in CATEGORICAL]
        chosen = chance.choice(np.array(cuts or [0.0]), count)
        with np.errstate(over="ignore"):
            beside = np.nextafter(chosen, chance.choice([-np.inf, np.inf], count))
        rows[:, column] = np.choose(chance.integers(0, 6, count), [rows[:, column]] * 3 + [chosen, beside, chance.choice(special, count)])
    return rows


def category_values(limit: int, count: int, seed: int) -> npt.NDArray[np.float64]:
    """Values of a categorical column: categories up to and beyond `limit`, broken and negative ones, what is no number or no integer."""
    chance = np.random.default_rng(seed)
    known = chance.integers(0, limit, count).astype(float)
    special = [
        *(np.nan, np.inf, -np.inf, -0.0, 5e-324, -5e-324, -1e-36, -0.3, -0.9999999999999999, -1.0, -1.5, -7.0, -3e9, limit + 0.0),
        *(limit - 0.5, limit + 40.0, 31.0, 32.0, 63.999999999999, 64.0, 16777215.0, 16777216.0, 2147483647.0, 2147483648.0, 4294967296.0),
        *(4294967299.0, 1e19, 1e300, -1e300),
    ]
    kind = chance.integers(0, 6, count)
    return np.choose(kind, [known, known, known, known + 0.7, chance.choice(special, count), chance.choice(special, count)])
