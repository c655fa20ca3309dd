"""Models made by hand: a tree of one split, so that a test knows every score by heart."""

from __future__ import annotations

import json

from tercel.features.spec import FeatureSet
from tercel.models.barriers import TripleBarrier
from tercel.models.manifest import FINAL, Calibration, Manifest, Part
from tercel.models.model import Model, digest


def stump(threshold: float, below: float, above: float, column: int = 0, columns: int = 1) -> bytes:
    """An XGBoost model of one tree: `below` for values under the threshold, `above` for the others and for missing ones."""
    tree = {
        "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [column, 0, 0],
        "split_conditions": [threshold, below, above], "default_left": [0, 0, 0],
    }  # fmt: skip
    learner = {
        "gradient_booster": {"name": "gbtree", "model": {"trees": [tree]}},
        "learner_model_param": {"base_score": "0.5", "num_feature": str(columns)},
        "objective": {"name": "binary:logistic"},
    }
    return json.dumps({"learner": learner}).encode()


def model_of(
    features: FeatureSet,
    inputs: tuple[str, ...],
    barriers: TripleBarrier,
    contents: dict[str, bytes],
    parts: tuple[Part, ...] | None = None,
    *,
    enter: float = 0.1,
    name: str = "made",
) -> Model:
    """A model of these files; by default one final part that mirrors "long.json", with a calibration that changes nothing."""
    plain = Calibration(slope=1.0, offset=0.0, win=1.0, loss=1.0)
    final = Part(name=FINAL, long="long.json", long_calibration=plain, short_calibration=plain, seen_first_ns=0, seen_last_ns=0)
    manifest = Manifest(
        name=name, program=features.compile().hash, clock=features.clock, features=tuple(features.features), inputs=inputs,
        barriers=barriers, enter=enter, parts=parts or (final,), files={file: digest(content) for file, content in contents.items()},
    )  # fmt: skip
    return Model(manifest, contents)
