"""The textbook way through a forest, and LightGBM's text written by hand: judges that know nothing of keys, nodes or groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tercel.models.trees import NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT, Tree, Trees

ZERO_MAX = float(np.float32(1e-35))
DECISION_TYPE = {NAN_IS_ZERO: 2, NAN_LEFT: 10, NAN_RIGHT: 8, ZERO_LEFT: 6, ZERO_RIGHT: 4}


def goes_left(value: float, threshold: float, rule: int) -> bool:
    """LightGBM's `NumericalDecision`, after the predictor has dropped values near zero."""
    if abs(value) <= ZERO_MAX:
        value = 0.0
    if math.isnan(value) and rule not in (NAN_LEFT, NAN_RIGHT):
        value = 0.0
    if math.isnan(value) or (value == 0.0 and rule in (ZERO_LEFT, ZERO_RIGHT)):
        return rule in (NAN_LEFT, ZERO_LEFT)
    return value <= threshold


def score(model: Trees, row: Sequence[float]) -> float:
    """One leaf per tree, summed in order."""
    total = 0.0
    for tree in model.trees:
        place = 0 if tree.columns else -1
        while place >= 0:
            left = goes_left(row[tree.columns[place]], tree.thresholds[place], tree.rules[place])
            place = tree.left[place] if left else tree.right[place]
        total += tree.values[~place]
    return total


def tree_text(number: int, tree: Tree) -> str:
    """One tree as LightGBM writes it, without what predicting does not need."""
    fields: dict[str, Sequence[object]] = {
        "num_leaves": [len(tree.values)],
        "num_cat": [0],
        "split_feature": tree.columns,
        "threshold": [repr(value) for value in tree.thresholds],
        "decision_type": [DECISION_TYPE[rule] for rule in tree.rules],
        "left_child": tree.left,
        "right_child": tree.right,
        "leaf_value": [repr(value) for value in tree.values],
        "is_linear": [0],
        "shrinkage": [1],
    }
    return f"Tree={number}\n" + "".join(f"{key}={' '.join(map(str, words))}\n" for key, words in fields.items()) + "\n\n"


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
        cuts = [cut for tree in model.trees for at, cut in zip(tree.columns, tree.thresholds, strict=True) if at == column]
        chosen = chance.choice(np.array(cuts or [0.0]), count)
        with np.errstate(over="ignore"):
            beside = np.nextafter(chosen, chance.choice([-np.inf, np.inf], count))
        rows[:, column] = np.choose(chance.integers(0, 6, count), [rows[:, column]] * 3 + [chosen, beside, chance.choice(special, count)])
    return rows
