"""The public names of `tercel`: complete, typed, and free until used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import tercel

SOURCE = Path(tercel.__file__)


def loaded_after(statement: str) -> set[str]:
    """The modules that a new interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.split())


def test_import_loads_nothing_heavy() -> None:
    """`import tercel` brings in no array library, compiler, file format or server."""
    loaded = loaded_after("import tercel")
    assert "tercel" in loaded
    assert not loaded & {"numpy", "numba", "pyarrow", "msgspec", "starlette", "granian", "rich", "cyclopts", "asyncio", "typing"}


@pytest.mark.parametrize("name", sorted(tercel._MODULE_OF))
def test_every_public_name_is_there(name: str) -> None:
    """Each public name is what its own module holds under that name."""
    assert getattr(tercel, name) is getattr(importlib.import_module(tercel._MODULE_OF[name]), name)


def test_types_and_table_agree() -> None:
    """What type checkers see, what is exported and what is loaded are the same names from the same modules."""
    guarded = next(node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    ours = [node for node in guarded.body if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tercel.")]
    typed = {alias.name: node.module for node in ours for alias in node.names}
    assert typed == tercel._MODULE_OF
    assert set(tercel.__all__) == {*typed, "__version__"}
    assert set(tercel.__all__) <= set(dir(tercel))


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    """A misspelt name raises AttributeError and names the one that was meant; a package is still importable as one."""
    with pytest.raises(AttributeError, match="did you mean 'backtest'"):
        tercel.backtst  # noqa: B018
    assert importlib.import_module("tercel.base").__name__ == "tercel.base"


def test_version_is_the_installed_one() -> None:
    """The version that the package states is the version it is installed as."""
    try:
        installed = metadata.version("tercel")
    except metadata.PackageNotFoundError:
        pytest.skip("needs an installed tercel: make install")
    assert tercel.__version__ == installed
    assert (SOURCE.parent / "py.typed").is_file()
