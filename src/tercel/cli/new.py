"""`tercel new`: a folder to begin in, with settings, a strategy, its test and the next commands."""

from __future__ import annotations

import importlib.machinery
import keyword
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tercel.base.errors import ConfigError
from tercel.cli.show import Json, print_json

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}", re.ASCII)  # it names a folder, an account and, with "_" for "-", a module
NAMES_MAX: Final = 3  # instruments of the given data that the commands name


def new(name: str, *, data: Path | None = None, json: Json = False) -> None:
    """Make a folder to begin in: tercel.toml with every setting explained, a strategy in Python, its test, and the next commands.

    Example: tercel new my-desk

    Parameters
    ----------
    name
        Name of the folder, made here; it must not exist. The strategy's module and class, and the account, are named after it.
    data
        A file or folder of history to import first; the commands then use its instruments instead of the simulated market.
    """
    from tercel.cli import scaffold
    from tercel.cli.show import say

    folder = Path(name)
    module = check(name)
    instruments = _import(data, quiet=json) if data is not None else ()
    files = scaffold.files(name, module, instruments)
    make(folder, files)
    if json:
        print_json(
            {
                "folder": str(folder.resolve()),
                "files": sorted(files),
                "instruments": instruments,
                "commands": scaffold.commands(name, module, instruments),
            }
        )
        return
    say(f"made {folder}/ with {', '.join(files)}")
    say(f"next: cd {folder}")
    for command, why in scaffold.commands(name, module, instruments):
        say(f"      {command:<{scaffold.width(name, module, instruments)}}  # {why}")


def check(name: str) -> str:
    """The name of the module that a desk of this name has. Raises `ConfigError` for one that cannot be, or is there."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"new: expected a name of up to 32 letters, digits, '-' or '_', a letter first, found {name!r}")
    module = name.lower().replace("-", "_")
    elsewhere = [path for path in sys.path if path and Path(path) != Path.cwd()]
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or importlib.machinery.PathFinder.find_spec(module, elsewhere):
        raise ConfigError(
            f"new: {name!r}: Python has a module {module} already, which this would hide; take another name, such as my-{name}"
        )
    if os.path.lexists(name):
        raise ConfigError(f"new: {name} exists already and is left as it is; take another name, or move it away")
    return module


def make(folder: Path, files: dict[str, str]) -> None:
    """Write the files into a new folder: all of them, or none."""
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ConfigError(f"new: {Path.cwd()} cannot be written: {error.strerror}") from None
    try:
        for name, text in files.items():
            (made / name).write_text(text)
        made.chmod(0o755)
        made.rename(folder)  # fails when it has appeared meanwhile with something in it
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise ConfigError(f"new: {folder} cannot be made: {error.strerror}") from None


def _import(data: Path, quiet: bool) -> tuple[str, ...]:
    """Import and return the instruments that have quotes, a few of them. Raises `ConfigError` when none has."""
    from tercel.base import paths
    from tercel.cli.show import progress
    from tercel.market.importers.batch import Options
    from tercel.market.importers.run import import_files

    with progress(quiet=quiet) as tell:
        done = import_files([data], Options(), paths.catalog_dir(), lambda text, share: tell(text, share, 1.0))
    quoted = dict.fromkeys(one.instrument for file in done.files for one in file.series if one.kind == "quote")
    if not quoted:
        raise ConfigError(f"new: expected quotes in {data}, found none; what it has is imported: `tercel data list` shows it")
    return tuple(quoted)[:NAMES_MAX]
