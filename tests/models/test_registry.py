"""The registry keeps models whole: versions, stages, and a refusal by name for whatever is not what was saved."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tercel.base import paths
from tercel.base.errors import ConfigError, DataError
from tercel.features.opcodes import OPCODES
from tercel.models import manifest as manifests
from tercel.models.model import Model, digest
from tercel.models.registry import ARCHIVED, CANDIDATE, PRODUCTION, Registry
from tests.market.history import start_python
from tests.models.kept import model

SAVES = 8
KILLS = 8


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry."""
    return Registry(tmp_path / "models")


def test_what_is_saved_is_loaded(registry: Registry) -> None:
    """A model comes back with the same manifest, the same bytes and the next version of its name."""
    first, second, other = (registry.save(model(seed=1)), registry.save(model(seed=5)), registry.save(model("gold")))
    assert [one.name for one in (first, second, other)] == ["eurusd@1", "eurusd@2", "gold@1"]
    for kept in (first, second):
        found = registry.load(kept.name)
        assert found.manifest == kept.manifest
        assert found.contents == kept.contents
        assert found.manifest.files == {name: digest(content) for name, content in kept.contents.items()}
    assert registry.load("eurusd").name == "eurusd@2"
    assert registry.names() == ("eurusd", "gold")
    assert first.forest("final.long.txt").predict([[1.0, 2.0, 3.0]]).shape == (1,)


def test_the_registry_is_in_the_home(home: Path) -> None:
    """Without a folder of its own it is TERCEL_HOME/models, and an empty one is no error."""
    assert paths.models_dir() == home / "models"
    assert Registry().list() == ()
    assert Registry().save(model()).name == "eurusd@1"
    assert (home / "models" / "eurusd" / "1" / "manifest.json").is_file()


def test_one_version_is_in_production(registry: Registry) -> None:
    """A stage is given by name; the version in production before is archived; the history keeps every change."""
    for seed in (1, 2, 3):
        registry.save(model(seed=seed))
    with pytest.raises(ConfigError, match="found none; `tercel models stage eurusd@N production`"):
        registry.load("eurusd@production")
    registry.stage("eurusd", 1, PRODUCTION, "first one")
    assert registry.load("eurusd@production").name == "eurusd@1"
    changes = registry.stage("eurusd", 3, PRODUCTION)
    assert [(one.version, one.before, one.stage) for one in changes] == [(1, PRODUCTION, ARCHIVED), (3, CANDIDATE, PRODUCTION)]
    assert registry.stage("eurusd", 3, PRODUCTION) == ()
    assert [registry.stage_of("eurusd", version) for version in (1, 2, 3)] == [ARCHIVED, CANDIDATE, PRODUCTION]
    registry.stage("eurusd", 3, ARCHIVED)
    assert registry.load("eurusd").name == "eurusd@2"
    history = registry.history("eurusd")
    assert [(one.version, one.stage) for one in history] == [
        (1, CANDIDATE), (2, CANDIDATE), (3, CANDIDATE), (1, PRODUCTION), (1, ARCHIVED), (3, PRODUCTION), (3, ARCHIVED),
    ]  # fmt: skip
    assert history[3].note == "first one"
    assert [one.at_ns for one in history] == sorted(one.at_ns for one in history)
    registry.stage("eurusd", 2, ARCHIVED)
    with pytest.raises(ConfigError, match="every version is archived"):
        registry.load("eurusd")
    assert registry.load("eurusd@2").name == "eurusd@2"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("eurus", "did you mean 'eurusd'"),
        ("zzz", "there is eurusd"),
        ("eurusd@7", "expected a version among eurusd@1"),
        ("eurusd@live", "or a stage (candidate, production, archived)"),
        ("../eurusd", "expected the name of a model"),
        ("", "expected the name of a model"),
    ],
)
def test_a_model_that_is_not_there_is_refused_by_name(registry: Registry, reference: str, said: str) -> None:
    """A wrong name, version or stage is answered with what there is."""
    registry.save(model())
    with pytest.raises(ConfigError) as refused:
        registry.load(reference)
    assert said in str(refused.value)


def edit(path: Path, old: bytes, new: bytes) -> None:
    """Change a file in place."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def reseal(folder: Path) -> None:
    """Give a changed manifest the hash of its new content, as somebody would who knows how."""
    (folder / "manifest.sha256").write_text(digest((folder / "manifest.json").read_bytes()) + "\n")


def test_a_changed_file_is_refused(registry: Registry, tmp_path: Path) -> None:
    """One changed byte of a file is found, and the error says which file, both hashes and what to do."""
    registry.save(model())
    path = tmp_path / "models" / "eurusd" / "1" / "fold-2.short.txt"
    expected = digest(path.read_bytes())
    edit(path, b"leaf_value=", b"leaf_value= ")
    with pytest.raises(DataError) as refused:
        registry.load("eurusd@1")
    text = str(refused.value)
    assert all(word in text for word in (str(path), expected[:16], digest(path.read_bytes())[:16], "restore", "train"))
    with pytest.raises(DataError):
        registry.stage("eurusd", 1, PRODUCTION)
    assert registry.stage_of("eurusd", 1) == CANDIDATE


@pytest.mark.parametrize("file", ["final.long.txt", "manifest.json", "manifest.sha256"])
def test_a_missing_file_is_refused(registry: Registry, tmp_path: Path, file: str) -> None:
    """Any file that is gone is named."""
    registry.save(model())
    path = tmp_path / "models" / "eurusd" / "1" / file
    path.unlink()
    with pytest.raises(DataError, match="found none") as refused:
        registry.load("eurusd")
    assert str(path) in str(refused.value)


def test_an_edited_manifest_is_refused(registry: Registry, tmp_path: Path) -> None:
    """A manifest changed by hand is found by its hash, and one that is no manifest by its content."""
    registry.save(model())
    folder = tmp_path / "models" / "eurusd" / "1"
    edit(folder / "manifest.json", b'"enter": 0.05', b'"enter": 0.01')
    with pytest.raises(DataError, match=r"manifest\.json: expected SHA-256 .* found .*: it is not what was saved"):
        registry.load("eurusd@1")
    (folder / "manifest.json").write_bytes(b'{"format": 1, "name": 7}')
    reseal(folder)
    with pytest.raises(DataError, match=r"found something else \(Expected `str`, got `int` - at `\$\.name`\)"):
        registry.load("eurusd@1")
    (folder / "manifest.json").write_bytes(b"\xff{")
    reseal(folder)
    with pytest.raises(DataError, match="found something else"):
        registry.load("eurusd@1")


def test_another_format_is_refused(registry: Registry, tmp_path: Path) -> None:
    """A manifest of a later format names both formats, whatever else stands in it."""
    registry.save(model())
    folder = tmp_path / "models" / "eurusd" / "1"
    edit(folder / "manifest.json", b'"format": 1', b'"format": 2')
    reseal(folder)
    with pytest.raises(ConfigError, match=r"format: expected 1, found 2: another Tercel saved it"):
        registry.load("eurusd@1")


def test_another_program_is_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an opcode has changed its version since, the model does not start: its numbers would not be the ones it learnt from."""
    registry.save(model())
    assert registry.load("eurusd").name == "eurusd@1"
    monkeypatch.setitem(OPCODES, "ema", replace(OPCODES["ema"], version=OPCODES["ema"].version + 1))
    with pytest.raises(ConfigError, match=r"program: expected [0-9a-f]{16}…, which it was trained on; .* an indicator has changed since"):
        registry.load("eurusd")
    monkeypatch.delitem(OPCODES, "ema")
    with pytest.raises(ConfigError, match="its features do not compile here"):
        registry.load("eurusd")


def test_a_folder_copied_to_another_name_is_refused(registry: Registry, tmp_path: Path) -> None:
    """A version speaks only for its own name and number."""
    registry.save(model())
    root = tmp_path / "models"
    (root / "gold").mkdir()
    (root / "eurusd" / "1").rename(root / "gold" / "4")
    with pytest.raises(DataError, match="expected gold@4, found eurusd@1"):
        registry.load("gold@4")


def test_file_names_stay_in_their_folder(registry: Registry, tmp_path: Path) -> None:
    """Neither a model to be saved nor a manifest that is read can name a file elsewhere."""
    kept = model()
    contents = {**kept.contents, "../evil.txt": b"x"}
    with pytest.raises(ConfigError, match="is no name for a file of a model"):
        registry.save(Model(kept.manifest, contents))
    with pytest.raises(ConfigError, match="a name is letters, digits"):
        registry.save(model("../evil"))
    registry.save(kept)
    folder = tmp_path / "models" / "eurusd" / "1"
    changed = registry.load("eurusd").manifest
    (folder / "manifest.json").write_bytes(
        manifests.encode(msgspec.structs.replace(changed, files={**changed.files, "../../../x": "0" * 64}))
    )
    reseal(folder)
    with pytest.raises(DataError, match="expected plain file names"):
        registry.load("eurusd@1")


def test_a_model_that_is_not_what_it_says_is_not_saved(registry: Registry) -> None:
    """A manifest whose hashes, program or inputs do not fit is refused before anything is written."""
    for changes, said in (
        ({"files": {"final.long.txt": "0" * 64}}, "its content is not what the manifest says"),
        ({"program": "0" * 64}, "program: expected 0000"),
        ({"inputs": ("ema_20", "rsi_14")}, "its features have no column 'rsi_14'"),
    ):
        with pytest.raises(ConfigError, match=said):
            registry.save(model(**changes))
    assert registry.list() == ()


def test_damage_is_listed_and_verified(registry: Registry, tmp_path: Path) -> None:
    """`list` and `verify` go on past a damaged version and say what is wrong with it."""
    registry.save(model())
    registry.save(model(seed=2))
    registry.save(model("gold"))
    root = tmp_path / "models"
    edit(root / "eurusd" / "1" / "manifest.json", b"eurusd", b"EURUSD")
    edit(root / "eurusd" / "2" / "final.long.txt", b"tree", b"eert")
    entries = registry.list()
    assert [(one.name, one.version, one.stage) for one in entries] == [
        ("eurusd", 1, "damaged"), ("eurusd", 2, CANDIDATE), ("gold", 1, CANDIDATE),
    ]  # fmt: skip
    assert "manifest.json" in entries[0].damage
    assert entries[2].bytes == sum(map(len, model("gold").contents.values()))
    assert (entries[2].inputs, entries[2].parts, entries[2].verdict) == (3, 3, "no edge")
    found = registry.verify()
    assert [bool(one.damage) for one in found] == [True, True, False]
    assert "final.long.txt" in found[1].damage
    assert registry.verify("gold@1")[0].files == 6
    told: list[tuple[str, float, float]] = []
    assert len(registry.verify(progress=lambda *said: told.append(said))) == len(found)
    assert told == [(f"{one.name}@{one.version}", place, len(found)) for place, one in enumerate(found)]
    assert len(registry.verify("eurusd")) == 2


def test_trees_that_cannot_be_read_are_found(registry: Registry) -> None:
    """`verify` reads the trees themselves: a file that was saved damaged is as its hash says and still no forest."""
    kept = model()
    contents = {**kept.contents, "final.long.txt": b"not a forest"}
    registry.save(Model(kept.manifest, contents))
    (found,) = registry.verify()
    assert "final.long.txt" in found.damage


def test_a_damaged_history_is_refused(registry: Registry, tmp_path: Path) -> None:
    """Stages that cannot be read are not guessed."""
    registry.save(model())
    (tmp_path / "models" / "eurusd" / "stages.json").write_text("[{]")
    with pytest.raises(DataError, match=r"stages\.json: expected the stages of eurusd"):
        registry.load("eurusd")


SAVE = """
import os
import sys
from pathlib import Path
from tercel.models.model import Model
from tercel.models.registry import Registry
source, target, saves, extra = sys.argv[1:]
small = Registry(Path(source)).load("eurusd")
print("ready", flush=True)
for number in range(int(saves)):
    note = f"{os.getpid()} {number} ".encode()  # no two saves keep the same bytes
    Registry(Path(target)).save(Model(small.manifest, {**small.contents, "notes.txt": note + b"x" * int(extra)}))
print("done", flush=True)
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A registry with one model, which other processes take theirs from."""
    Registry(tmp_path / "source").save(model())
    return str(tmp_path / "source")


def test_the_same_model_is_kept_once(registry: Registry) -> None:
    """A training that is repeated gives the version it gave; any other byte is another version."""
    first = registry.save(model())
    again = registry.save(model())
    assert (first.manifest.version, again.manifest.version, again.contents) == (1, 1, first.contents)
    other = Model(first.manifest, {**first.contents, "notes.txt": b"other"})
    assert registry.save(other).manifest.version == 2
    assert registry.save(model()).manifest.version == 3
    assert registry.versions("eurusd") == (1, 2, 3)


def test_saves_at_once_get_different_versions(registry: Registry, tmp_path: Path, source: str) -> None:
    """Three processes that save the same name at the same time fill the versions without a gap, each whole."""
    workers = [start_python(SAVE, source, str(tmp_path / "models"), str(SAVES), "1000") for _ in range(3)]
    for worker in workers:
        assert worker.communicate(timeout=100)[0] == "ready\ndone\n"
    assert registry.versions("eurusd") == tuple(range(1, 3 * SAVES + 1))
    assert not any(one.damage for one in registry.verify())
    assert sorted(one.version for one in registry.history("eurusd")) == list(range(1, 3 * SAVES + 1))


def test_a_killed_save_leaves_nothing_visible(registry: Registry, tmp_path: Path, source: str) -> None:
    """Killed at random moments, a save is there whole or not at all, and the next one clears away what was left."""
    root = tmp_path / "models"
    chance, outcomes = random.Random(3), []
    for _ in range(KILLS):
        before = registry.versions("eurusd")
        with start_python(SAVE, source, str(root), "1", "8000000") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.random() * 0.08)
            process.send_signal(signal.SIGKILL)
        after = registry.versions("eurusd")
        outcomes.append(len(after) - len(before))
        assert outcomes[-1] in (0, 1)
        assert not any(one.damage for one in registry.verify())
    assert 0 in outcomes, "no kill came before the end: the test shows nothing"
    kept = registry.save(model())
    assert registry.load("eurusd").name == kept.name
    assert {path.name for path in (root / "eurusd").iterdir()} == {
        ".lock", "stages.json", *(str(version) for version in registry.versions("eurusd")),
    }  # fmt: skip
