"""What is an extra is asked for by name where it is used, and by nothing else: a plain installation does everything but that."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib, pkgutil, sys

EXTRAS = {"redis", "hiredis", "zstandard", "lz4", "pandas", "matplotlib", "IPython"}
DEVELOPERS = {"hypothesis", "pytest", "optuna", "scipy", "sklearn", "wasmtime", "xgboost", "ziglang"}


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS | DEVELOPERS:
            raise ModuleNotFoundError(f"No module named {name!r}")


sys.meta_path.insert(0, Absent())
import tercel
from tercel.base.errors import MissingExtra

for module in pkgutil.walk_packages(tercel.__path__, "tercel."):
    try:
        importlib.import_module(module.name)
    except MissingExtra as error:
        assert "pip install 'tercel[" in str(error), error
        print(module.name)
"""


def test_only_the_modules_of_an_extra_need_it() -> None:
    """Without any extra every module is importable but level 2 of the cache and the plots, which name what to install."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    parts = ("level2", "node", "slots", "voids", "wire")
    assert set(done.stdout.split()) == {"tercel.drivers.plots", *(f"tercel.cache.{part}" for part in parts)}
