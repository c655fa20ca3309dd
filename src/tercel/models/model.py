"""A trained model in memory: its manifest and its forests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property

import msgspec

from tercel.base import html
from tercel.base.errors import ConfigError
from tercel.base.typed import typed
from tercel.features.program import Program
from tercel.features.spec import FeatureSet
from tercel.models import lightgbm_text, xgboost_json
from tercel.models.forest import Forest
from tercel.models.manifest import FINAL, Manifest, Part


class Model:
    """A manifest with the content of its files; read-only. The registry keeps it, training makes it, the core places its parts."""

    def __init__(self, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
        self.manifest = manifest
        self.contents = dict(contents)
        for part in manifest.parts:
            for file in filter(None, (part.long, part.short)):
                if file not in self.contents:
                    raise ConfigError(f"model {manifest.name}: part {part.name!r} names a file {file!r} that is not there")
        self._forests: dict[str, Forest] = {}

    @property
    def name(self) -> str:
        """Name and version."""
        return f"{self.manifest.name}@{self.manifest.version}" if self.manifest.version else self.manifest.name

    @cached_property
    def feature_set(self) -> FeatureSet:
        """The feature set the model was trained on."""
        return self.manifest.feature_set

    @cached_property
    def program(self) -> Program:
        """What its feature set compiles to."""
        return self.feature_set.compile()

    @cached_property
    def registers(self) -> tuple[int, ...]:
        """The registers of its inputs, in their order."""
        return tuple(self.program.register(name) for name in self.manifest.inputs)

    def forest(self, file: str) -> Forest:
        """The forest in one of its files, read on first use. Raises `DataError` when it is damaged."""
        if file not in self._forests:
            content = self.contents[file]
            where = f"{self.name}/{file}"
            trees = xgboost_json.parse(content, where) if file.endswith(".json") else lightgbm_text.parse(content.decode(), where)
            self._forests[file] = Forest(trees)
        return self._forests[file]

    @property
    def bytes(self) -> int:
        """Memory of the forests read so far."""
        return sum(forest.bytes for forest in self._forests.values())

    @property
    def folds(self) -> tuple[Part, ...]:
        """The parts of folds, in order of the stretch each may trade."""
        return tuple(
            sorted((part for part in self.manifest.parts if part.name != FINAL), key=lambda part: (part.test_first_ns, part.instrument))
        )

    def __repr__(self) -> str:
        verdict = self.manifest.metrics.get("verdict", "not judged")
        return f"<Model {self.name}: {len(self.manifest.parts)} parts, {len(self.manifest.inputs)} inputs, {verdict}>"

    def _repr_html_(self) -> str:
        manifest = self.manifest
        rows: list[tuple[str, object]] = [
            ("verdict", manifest.metrics.get("verdict", "not judged")),
            ("instruments", ", ".join(manifest.instruments)),
            ("bars", f"{manifest.clock.text} of the {manifest.clock.price}"),
            ("inputs", ", ".join(manifest.inputs)),
            ("parts", ", ".join(part.name for part in manifest.parts)),
            ("enters at", f"an expected edge of {manifest.enter:g} widths"),
            ("program", manifest.program[:16]),
        ]
        return html.card(f"Model {self.name}", "", html.pairs(rows))


def digest(content: bytes) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


@typed(shared="a trained model", own='models by instrument, such as {"EURUSD@oanda": model}')
def with_own(shared: Model, own: Mapping[str, Model]) -> Model:
    """A model with parts of their own for some instruments, {"EURUSD@oanda": model}; the shared parts serve all others.

    The result is unregistered. Raises `ConfigError` unless all were trained on the same program, inputs, barriers and edge to enter.
    """
    manifest, contents, parts = shared.manifest, dict(shared.contents), list(shared.manifest.parts)
    for instrument, model in sorted(own.items()):
        other = model.manifest
        for what in ("program", "inputs", "barriers", "enter"):
            if getattr(other, what) != getattr(manifest, what):
                expected, found = getattr(manifest, what), getattr(other, what)
                raise ConfigError(f"model {model.name} for {instrument}: expected the shared model's {what} {expected!r}, found {found!r}")
        prefix = re.sub(r"[^A-Za-z0-9_.-]", ".", instrument)
        files = {file: f"{prefix}.{file}" for file in model.contents}
        if not contents.keys().isdisjoint(files.values()):
            raise ConfigError(
                f"model {model.name} for {instrument}: another instrument's files have the names {prefix}.…; rename one of them"
            )
        contents.update({files[file]: content for file, content in model.contents.items()})
        parts += [
            msgspec.structs.replace(part, instrument=instrument, long=files[part.long], short=files.get(part.short, ""))
            for part in other.parts
            if not part.instrument
        ]
    hashes = {file: digest(content) for file, content in sorted(contents.items())}
    return Model(msgspec.structs.replace(manifest, version=0, parts=tuple(parts), files=hashes), contents)
