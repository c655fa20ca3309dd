"""The opcodes for the browser: one WebAssembly module, made of the same source as the server's, equal to the bit.

`make wasm` writes `web/features.wasm`, the one generated file of the repository; a test makes it anew and compares. The compiler is the C
compiler of the package ziglang, whose version is pinned because the bytes of the module depend on it. `web/features.js` runs the module.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tercel.base.errors import MissingExtra, TercelError
from tercel.features.opcodes import OPCODES
from tercel.features.program import run_block
from tercel.features.translate import translate

SECONDS_MAX: Final = 120.0
# No contraction and no fast-math: every operation rounds by itself, in the order it is written in. Integers wrap, as they do in Numba.
FLAGS: Final = (
    *("-target", "wasm32-freestanding", "-O3", "-ffp-contract=off", "-fwrapv", "-fno-math-errno", "-fno-strict-aliasing"),
    *("-nostdlib", "-s", "-Wl,--no-entry", "-Wl,--export=__heap_base", "-Wl,-z,stack-size=65536"),
)


def source() -> str:
    """The C text of the module: `run_block` over every opcode of the table, and `opcode_version`, which is 0 for an unknown number."""
    cases = "".join(
        f"    case {opcode.number}: return {opcode.version};\n" for opcode in sorted(OPCODES.values(), key=lambda one: one.number)
    )
    version = f"int opcode_version(int number) {{\n    switch (number) {{\n{cases}    }}\n    return 0;\n}}\n"
    return translate([run_block], OPCODES.values()) + '\n__attribute__((export_name("opcode_version"))) ' + version


def compile_c(text: str, flags: Sequence[str] = FLAGS) -> bytes:
    """The WebAssembly module of a C text. Raises `MissingExtra` without ziglang and `TercelError` with what the compiler said."""
    if importlib.util.find_spec("ziglang") is None:
        raise MissingExtra("the C compiler is not installed: pip install 'tercel[dev]' brings ziglang")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "features.c").write_text(text)
        cache = {name: str(Path(folder) / "cache") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
        command = [sys.executable, "-m", "ziglang", "cc", *flags, "-o", "features.wasm", "features.c"]
        try:
            done = subprocess.run(  # noqa: S603
                command, cwd=folder, env=os.environ | cache, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            raise TercelError(f"ziglang: expected a module within {SECONDS_MAX:.0f} s, found none; build it on a machine at rest") from None
        if done.returncode:
            raise TercelError(f"ziglang: expected a module, found exit status {done.returncode}: {done.stderr.strip()[-800:]}")
        return (Path(folder) / "features.wasm").read_bytes()


def main(arguments: list[str]) -> None:
    """`python -m tercel.features.wasm build FILE` writes the module."""
    match arguments:
        case ["build", file]:
            try:
                Path(file).write_bytes(compile_c(source()))
            except TercelError as error:
                raise SystemExit(str(error)) from None
        case _:
            raise SystemExit("python -m tercel.features.wasm: expected build FILE")


if __name__ == "__main__":
    main(sys.argv[1:])
