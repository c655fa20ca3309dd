"""The registry: models on disk, in versions that never change, each checked to the last byte before it is used.

    models/eurusd/stages.json          who was candidate, production and archived, and since when
    models/eurusd/3/manifest.json      what the model is, with the SHA-256 of each of its files
    models/eurusd/3/manifest.sha256    the SHA-256 of the manifest
    models/eurusd/3/final.long.txt …   its files

A version is written into a hidden folder, made durable and renamed: it is there whole, or not at all. Nothing in a version is ever written
again; what changes is the stage, in a file of its own that is replaced by rename. The hashes find damage and edits by mistake; they are no
signature against somebody who rewrites all of them.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from tercel.base import html, paths
from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.time import NS_PER_S, clock_ns, wall_ns
from tercel.models import manifest as manifests
from tercel.models.manifest import Manifest
from tercel.models.model import Model, digest

Progress = Callable[[str, int, int], None]

CANDIDATE: Final = "candidate"
PRODUCTION: Final = "production"
ARCHIVED: Final = "archived"
STAGES: Final = (CANDIDATE, PRODUCTION, ARCHIVED)

MANIFEST: Final = "manifest.json"
SEAL: Final = "manifest.sha256"
HISTORY: Final = "stages.json"
LOCK: Final = ".lock"
HIDDEN: Final = ".saving-"

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
LOCK_WAIT_S: Final = 10.0
LOCK_POLL_S: Final = 0.01


def check_name(name: str) -> None:
    """Raise `ConfigError` when a model cannot be called so: the name is a folder's, too."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"model {name!r}: a name is letters, digits, '_', '-' and '.', at most 64, not beginning with a sign")


class StageChange(msgspec.Struct, frozen=True):
    """One line of a name's history: at `at_ns` (wall clock) the version got this stage; `before` is the one it had, "" when it was new."""

    version: int
    stage: str
    before: str
    at_ns: int
    note: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One version as a list shows it; `damage` says why it cannot be used, the other fields are then empty."""

    name: str
    version: int
    stage: str
    since_ns: int = 0
    verdict: str = ""
    instruments: tuple[str, ...] = ()
    inputs: int = 0
    parts: int = 0
    bytes: int = 0
    program: str = ""
    damage: str = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One version read again: how many files, and what is wrong with it (nothing: "")."""

    name: str
    version: int
    files: int
    damage: str = ""


class Registry:
    """The models below a folder. Versions count from 1 for each name; readers need no lock, writers take one for each name.

    >>> import tercel as tc
    >>> tc.Registry().list()
    ()
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else paths.models_dir()

    def __repr__(self) -> str:
        return f"<Registry {self.root}: {', '.join(self.names()) or 'no models'}>"

    def _repr_html_(self) -> str:
        rows = [
            (f"{one.name}@{one.version}", one.stage, one.verdict, ", ".join(one.instruments), one.inputs, one.damage) for one in self.list()
        ]
        columns = ("model", "stage", "verdict", "instruments", "inputs", "damage")
        return html.card("Registry", str(self.root), html.table(columns, rows, left=(0, 1, 2, 3, 5)))

    # What there is.

    def names(self) -> tuple[str, ...]:
        """The names of all models, sorted."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(path.name for path in self.root.iterdir() if NAME.fullmatch(path.name) and self.versions(path.name)))

    def versions(self, name: str) -> tuple[int, ...]:
        """The versions of a model, ascending; empty for an unknown name."""
        folder = self.root / name
        if not folder.is_dir():
            return ()
        return tuple(sorted(int(path.name) for path in folder.iterdir() if path.name.isascii() and path.name.isdigit() and path.is_dir()))

    def list(self, name: str | None = None) -> tuple[Entry, ...]:
        """Every version of every model, or of one; a damaged one is listed as such. Raises `ConfigError` for an unknown name."""
        chosen = self.names() if name is None else (self._known(name),)
        return tuple(self._entry(one, version) for one in chosen for version in self.versions(one))

    def history(self, name: str) -> tuple[StageChange, ...]:
        """Every change of stage of a model, oldest first. Raises `ConfigError` for an unknown name, `DataError` for a damaged file."""
        return self._history(self._known(name))

    def stage_of(self, name: str, version: int) -> str:
        """The stage of a version; a candidate until somebody said otherwise."""
        return _stages(self._history(name)).get(version, CANDIDATE)

    # Out.

    def load(self, reference: str) -> Model:
        """The model "name" (its newest version that is not archived), "name@3" or "name@production", verified.

        Raises `ConfigError` when there is no such model, when this Tercel cannot read its format, or when its features compile to another
        program here than it was trained on; `DataError` when a file is missing or is not what was saved.
        """
        name, version = self.resolve(reference)
        return self._read(name, version)

    def resolve(self, reference: str) -> tuple[str, int]:
        """Name and version of a reference. Raises `ConfigError` when there is no such model."""
        name, at, wanted = reference.partition("@")
        self._known(name)
        versions, stages = self.versions(name), _stages(self._history(name))
        if not at:
            usable = [version for version in versions if stages.get(version) != ARCHIVED]
            if not usable:
                raise ConfigError(f"model {name}: every version is archived; say which one you want: {_choice(name, versions)}")
            return name, usable[-1]
        if wanted in STAGES:
            found = [version for version in versions if stages.get(version, CANDIDATE) == wanted]
            if not found:
                raise ConfigError(
                    f"model {name}: expected a version in {wanted}, found none; `tercel models stage {name}@N {wanted}` sets it"
                )
            return name, found[-1]
        if not (wanted.isascii() and wanted.isdigit() and int(wanted) in versions):
            raise ConfigError(f"model {reference}: expected a version among {_choice(name, versions)}, or a stage ({', '.join(STAGES)})")
        return name, int(wanted)

    def verify(self, reference: str | None = None, progress: Progress | None = None) -> tuple[Checked, ...]:
        """Read versions again to the last byte, trees included: all, those of "name", or one. Damage is told, not raised.

        `progress` is told the model that is read, how many were, and how many there are.
        """
        if reference is None:
            chosen = [(name, version) for name in self.names() for version in self.versions(name)]
        elif "@" in reference:
            chosen = [self.resolve(reference)]
        else:
            chosen = [(self._known(reference), version) for version in self.versions(reference)]
        found: list[Checked] = []
        for name, version in chosen:
            if progress is not None:
                progress(f"{name}@{version}", len(found), len(chosen))
            found.append(self._checked(name, version))
        return tuple(found)

    # In.

    def save(self, model: Model) -> Model:
        """Keep a model as the next version of its name, a candidate; the model with its version comes back.

        One that is in every byte the newest version already is not kept again: a training that is repeated gives the version it gave.
        Two that save at once get different versions. Raises `ConfigError` for a name or file name that is no plain name, a model whose
        program is not what its features compile to, or contents that are not what its manifest says.
        """
        self._fits(model)
        folder = self.root / model.manifest.name
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            for left in folder.glob(f"{HIDDEN}*"):  # of a save that was killed: nobody else holds the lock
                left.unlink() if left.is_file() else shutil.rmtree(left)
            newest = max(self.versions(model.manifest.name), default=0)
            hashes = {file: digest(content) for file, content in model.contents.items()}
            same = Model(msgspec.structs.replace(model.manifest, version=newest, files=hashes), model.contents)
            known = folder / str(newest) / MANIFEST
            if known.is_file() and known.read_bytes() == manifests.encode(same.manifest):
                return same
            version = newest + 1
            kept = Model(msgspec.structs.replace(model.manifest, version=version, files=hashes), model.contents)
            hidden = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=folder))
            document = manifests.encode(kept.manifest)
            for file, content in {**model.contents, MANIFEST: document, SEAL: f"{digest(document)}\n".encode()}.items():
                _write(hidden / file, content)
            hidden.chmod(0o755)
            _sync(hidden)
            hidden.rename(folder / str(version))
            _sync(folder)
            _sync(self.root)
            self._append(model.manifest.name, StageChange(version, CANDIDATE, "", wall_ns()))
        return kept

    def stage(self, name: str, version: int, stage: str, note: str = "") -> tuple[StageChange, ...]:
        """Give a version a stage; the changes made come back. One version at most is in production: the one before it is archived.

        Only a version that can be used goes into production: it is read and verified first. Raises `ConfigError` for an unknown stage, name
        or version, `DataError` for a damaged one.
        """
        if stage not in STAGES:
            raise ConfigError(f"model {name}@{version}: stage: expected one of {', '.join(STAGES)}, found {stage!r}")
        self.resolve(f"{name}@{version}")
        if stage == PRODUCTION:
            self._read(name, version)
        with _locked(self.root / name):
            stages = dict.fromkeys(self.versions(name), CANDIDATE) | _stages(self._history(name))
            if stages[version] == stage:
                return ()
            now = wall_ns()
            given_up = [one for one, held in stages.items() if stage == held == PRODUCTION]
            changes = [StageChange(one, ARCHIVED, PRODUCTION, now, f"version {version} took its place") for one in given_up]
            changes.append(StageChange(version, stage, stages[version], now, note))
            self._append(name, *changes)
        return tuple(changes)

    # How.

    def _known(self, name: str) -> str:
        if NAME.fullmatch(name) and self.versions(name):
            return name
        names = self.names()
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names)}" if names else "none was saved yet"
        raise ConfigError(f"model {name!r}: expected the name of a model in {self.root}, found none of that name; {hint}")

    def _history(self, name: str) -> tuple[StageChange, ...]:
        path = self.root / name / HISTORY
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return ()
        try:
            return msgspec.json.decode(content, type=tuple[StageChange, ...])
        except msgspec.DecodeError as error:
            raise DataError(
                f"{path}: expected the stages of {name}, found something else ({error}); restore it, or delete it: all become candidates"
            ) from None

    def _append(self, name: str, *changes: StageChange) -> None:
        folder = self.root / name
        content = msgspec.json.format(msgspec.json.encode((*self._history(name), *changes)), indent=1)
        hidden = folder / f"{HIDDEN}stages"
        hidden.unlink(missing_ok=True)
        _write(hidden, content)
        hidden.rename(folder / HISTORY)
        _sync(folder)

    def _fits(self, model: Model) -> None:
        manifest = model.manifest
        check_name(manifest.name)
        strange = [file for file in model.contents if not FILE.fullmatch(file) or file in (MANIFEST, SEAL)]
        if strange:
            raise ConfigError(f"model {manifest.name}: {strange[0]!r} is no name for a file of a model: letters, digits, '_', '-' and '.'")
        for file, expected in manifest.files.items():
            if file not in model.contents or digest(model.contents[file]) != expected:
                raise ConfigError(f"model {manifest.name}: {file}: its content is not what the manifest says (SHA-256 {expected[:16]}…)")
        _same_program(manifest, manifest.name)

    def _read(self, name: str, version: int) -> Model:
        folder = self.root / name / str(version)
        manifest = self._manifest(name, version)
        contents = {}
        for file, expected in manifest.files.items():
            path = folder / file
            try:
                contents[file] = path.read_bytes()
            except FileNotFoundError:
                raise DataError(f"{path}: expected a file of {name}@{version}, found none; {_remedy(name)}") from None
            _same_hash(path, contents[file], expected, name)
        _same_program(manifest, f"{name}@{version}")
        return Model(manifest, contents)

    def _manifest(self, name: str, version: int) -> Manifest:
        path = self.root / name / str(version) / MANIFEST
        content = {}
        for one in (path, path.with_name(SEAL)):
            try:
                content[one] = one.read_bytes()
            except FileNotFoundError:
                raise DataError(f"{one}: expected a file of {name}@{version}, found none; {_remedy(name)}") from None
        _same_hash(path, content[path], content[path.with_name(SEAL)].decode("ascii", "replace").strip(), name)
        try:
            given = msgspec.json.decode(content[path], type=dict[str, Any]).get("format")
            if given != manifests.FORMAT:
                raise ConfigError(
                    f"{path}: format: expected {manifests.FORMAT}, found {given!r}: another Tercel saved it; use that one, or train again"
                )
            found = manifests.decode(content[path])
        except msgspec.DecodeError as error:
            raise DataError(f"{path}: expected the manifest of {name}@{version}, found something else ({error}); {_remedy(name)}") from None
        if (found.name, found.version) != (name, version):
            raise DataError(
                f"{path}: expected {name}@{version}, found {found.name}@{found.version}: it was copied here; save it under its name"
            )
        strange = [file for file in found.files if not FILE.fullmatch(file)]
        if strange:
            raise DataError(f"{path}: files: expected plain file names, found {strange[0]!r}; {_remedy(name)}")
        return found

    def _entry(self, name: str, version: int) -> Entry:
        try:
            history = self._history(name)
            stage = _stages(history).get(version, CANDIDATE)
            since = max((one.at_ns for one in history if one.version == version), default=0)
            manifest = self._manifest(name, version)
        except TercelError as error:
            return Entry(name=name, version=version, stage="damaged", damage=str(error))
        folder = self.root / name / str(version)
        size = sum((folder / file).stat().st_size for file in manifest.files if (folder / file).is_file())
        verdict = manifest.metrics.get("verdict", "")
        return Entry(
            name=name, version=version, stage=stage, since_ns=since, verdict=str(verdict), instruments=manifest.instruments,
            inputs=len(manifest.inputs), parts=len(manifest.parts), bytes=size, program=manifest.program,
        )  # fmt: skip

    def _checked(self, name: str, version: int) -> Checked:
        try:
            model = self._read(name, version)
            for part in model.manifest.parts:
                for file in filter(None, (part.long, part.short)):
                    model.forest(file)
        except TercelError as error:
            return Checked(name=name, version=version, files=0, damage=str(error))
        return Checked(name=name, version=version, files=len(model.contents))


def _stages(history: tuple[StageChange, ...]) -> dict[int, str]:
    """The stage of each version that has a history: the last one said."""
    return {one.version: one.stage for one in history}


def _choice(name: str, versions: tuple[int, ...]) -> str:
    return ", ".join(f"{name}@{version}" for version in versions)


def _remedy(name: str) -> str:
    return f"restore the folder from a backup, or train {name} again"


def _same_hash(path: Path, content: bytes, expected: str, name: str) -> None:
    found = digest(content)
    if found != expected:
        raise DataError(f"{path}: expected SHA-256 {expected[:16]}…, found {found[:16]}…: it is not what was saved; {_remedy(name)}")


def _same_program(manifest: Manifest, name: str) -> None:
    """Raise `ConfigError` unless the features compile here to the program in the manifest, with every input among them."""
    try:
        program = manifest.feature_set.compile()
    except (KeyError, ConfigError) as error:
        raise ConfigError(
            f"model {name}: its features do not compile here ({error}); use the Tercel that saved it, or train again"
        ) from None
    if program.hash != manifest.program:
        raise ConfigError(
            f"model {name}: program: expected {manifest.program[:16]}…, which it was trained on; its features compile here to "
            f"{program.hash[:16]}…: an indicator has changed since; train again, or use the Tercel that saved it"
        )
    absent = [one for one in manifest.inputs if one not in program.names]
    if absent:
        raise ConfigError(f"model {name}: inputs: its features have no column {absent[0]!r}; train again")


def _write(path: Path, content: bytes) -> None:
    """A new file, durable."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _locked(folder: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Be the only writer of a name; the kernel frees the lock of a process that dies. Raises `ConfigError` after `wait_s`."""
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up = clock_ns() + int(wait_s * NS_PER_S)
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock_ns() >= give_up:
                    raise ConfigError(f"{folder}: another process has been saving for {wait_s:g} s; try again when it has ended") from None
                time.sleep(LOCK_POLL_S)
        yield
    finally:
        os.close(file)
