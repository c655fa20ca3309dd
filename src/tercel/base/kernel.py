"""Compiled code: one decorator for kernels, one way to enter them.

A kernel is a plain function over scalars and flat memory whose annotations are `f64`, `i64`, `F` (float64 memory) and `I` (int64 memory).
Numba compiles it with pointers for `F` and `I` (three times faster than array arguments), strict order of operations, no interpreter lock.
Kernels never raise; they set a fault code. They call each other by name. Python enters one through `entry(...)`.

`TERCEL_KERNELS=python` leaves every kernel plain Python: its twin and its debugger. `TERCEL_KERNELS=checked` does the same and hands
memory in as `Checked`, which refuses a negative or too large index: the bounds check by a switch.

The cache of compiled code lives in a folder named by the hash of every source file that holds a kernel or is imported by one, so a change
in any of them, also in a callee or a constant that lives elsewhere, never meets stale code (Numba itself looks at one file only).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from tercel.base.paths import kernel_cache_dir

F = npt.NDArray[np.float64]
I = npt.NDArray[np.int64]
f64 = float
i64 = int

Fn = TypeVar("Fn", bound=Callable[..., Any])

MODE: Final = os.environ.get("TERCEL_KERNELS", "compiled")
COMPILED: Final = MODE == "compiled"


def sources_hash(package: Path) -> str:
    """16 hex digits over every file of `package` that holds a kernel and every file those import, whose constants are compiled in."""
    texts = {path: path.read_bytes() for path in package.rglob("*.py")}
    todo = [path for path, text in texts.items() if b"@kernel" in text]
    reached = set(todo)
    while todo:
        for name in re.findall(rb"^from tercel\.([\w.]+) import", texts[todo.pop()], re.MULTILINE):
            path = package / (name.decode().replace(".", "/") + ".py")
            if path in texts and path not in reached:
                reached.add(path)
                todo.append(path)
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for path in sorted(reached):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + texts[path])
    return digest.hexdigest()[:16]


PLAIN_OPS: dict[int, Callable[..., None]] = {}
PLAIN_MEMORY: dict[int, Any] = {}

if COMPILED:
    import numba
    from llvmlite import ir
    from numba import types as nt
    from numba.extending import intrinsic

    CACHE: Final = kernel_cache_dir() / f"{sources_hash(Path(__file__).resolve().parent.parent)}-numba{numba.__version__}"
    numba.config.CACHE_DIR = str(CACHE)
    _NUMBA: Final = {
        "f64": nt.float64,
        "i64": nt.int64,
        "F": nt.CPointer(nt.float64),
        "I": nt.CPointer(nt.int64),
        "None": nt.void,
    }
    _C: Final = {"f64": ctypes.c_double, "i64": ctypes.c_int64, "F": ctypes.c_void_p, "I": ctypes.c_void_p, "None": None}

    @intrinsic  # type: ignore[untyped-decorator]
    def call_op(typing: Any, address: Any, S: Any, s: Any, P: Any, p: Any, X: Any, R: Any, r: Any, n: Any) -> Any:
        """Call the opcode compiled at `address`; `tercel.features.opcodes` explains the arguments."""
        kinds = (nt.int64, *(_NUMBA[mark] for mark in ("F", "i64", "F", "i64", "F", "I", "i64", "i64")))

        def build(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            arguments = [context.get_value_type(kind) for kind in kinds[1:]]
            pointer = builder.inttoptr(values[0], ir.FunctionType(ir.VoidType(), arguments).as_pointer())
            builder.call(pointer, values[1:])
            return context.get_dummy_value()

        return nt.void(*kinds), build

    @intrinsic  # type: ignore[untyped-decorator]
    def pointer_f(typing: Any, address: Any) -> Any:
        """The float64 memory at an address."""
        return _NUMBA["F"](nt.int64), lambda c, b, s, v: b.inttoptr(v[0], c.get_value_type(_NUMBA["F"]))

    @intrinsic  # type: ignore[untyped-decorator]
    def pointer_i(typing: Any, address: Any) -> Any:
        """The int64 memory at an address."""
        return _NUMBA["I"](nt.int64), lambda c, b, s, v: b.inttoptr(v[0], c.get_value_type(_NUMBA["I"]))

    @intrinsic  # type: ignore[untyped-decorator]
    def bits(typing: Any, value: Any) -> Any:
        """The 64 bits of a float64 as an int64; only kernels can call it."""
        return nt.int64(nt.float64), lambda c, b, s, v: b.bitcast(v[0], c.get_value_type(nt.int64))

    @intrinsic  # type: ignore[untyped-decorator]
    def unbits(typing: Any, value: Any) -> Any:
        """The float64 whose 64 bits an int64 has; only kernels can call it."""
        return nt.float64(nt.int64), lambda c, b, s, v: b.bitcast(v[0], c.get_value_type(nt.float64))

    @intrinsic  # type: ignore[untyped-decorator]
    def single(typing: Any, value: Any) -> Any:
        """A float64 rounded to the nearest float32; only kernels can call it."""
        return nt.float64(nt.float64), lambda c, b, s, v: b.fpext(b.fptrunc(v[0], ir.FloatType()), ir.DoubleType())

    @intrinsic  # type: ignore[untyped-decorator]
    def word_at(typing: Any, memory: Any, place: Any) -> Any:
        """The 8 bytes from byte `place` of `I` memory on, the first the lowest, as an int64; only kernels can call it."""

        def build(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            word = ir.IntType(64)
            address = builder.add(builder.ptrtoint(values[0], word), values[1])
            return builder.load(builder.inttoptr(address, word.as_pointer()), align=1)

        return nt.int64(_NUMBA["I"], nt.int64), build

    @intrinsic  # type: ignore[untyped-decorator]
    def zeros_below(typing: Any, value: Any) -> Any:
        """How many bits of an int64 other than 0 are 0 below its lowest 1; only kernels can call it."""
        return nt.int64(nt.int64), lambda c, b, s, v: b.cttz(v[0], ir.IntType(1)(1))
else:
    CACHE = Path(os.devnull)  # type: ignore[misc]

    def call_op(address: int, *args: Any) -> None:
        """Call the opcode registered under `address`."""
        PLAIN_OPS[address](*args)

    def bits(value: float) -> int:
        """The 64 bits of a float64 as an int64."""
        found: int = struct.unpack("<q", struct.pack("<d", value))[0]
        return found

    def unbits(value: int) -> float:
        """The float64 whose 64 bits an int64 has."""
        found: float = struct.unpack("<d", struct.pack("<q", value))[0]
        return found

    def single(value: float) -> float:
        """A float64 rounded to the nearest float32."""
        return ctypes.c_float(value).value

    def word_at(memory: Any, place: int) -> int:
        """The 8 bytes from byte `place` of `I` memory on, the first the lowest, as an int64."""
        octets = memory.memory.view(np.uint8)
        if not 0 <= place <= len(octets) - 8:
            raise IndexError(f"kernel read at byte {place} of {len(octets)}")
        return int.from_bytes(octets[place : place + 8].tobytes(), "little", signed=True)

    def zeros_below(value: int) -> int:
        """How many bits of an int64 other than 0 are 0 below its lowest 1."""
        return (value & -value).bit_length() - 1

    def pointer_f(address: int) -> Any:
        """The float64 memory that `address_of` gave this address."""
        return PLAIN_MEMORY[address][0]

    def pointer_i(address: int) -> Any:
        """The int64 memory that `address_of` gave this address."""
        return PLAIN_MEMORY[address][1]


def kernel(fn: Fn) -> Fn:
    """Mark `fn` as a kernel. It stays callable from other kernels; from Python it is entered through `entry`."""
    if not COMPILED:
        return fn
    return numba.njit(error_model="numpy", nogil=True, boundscheck=False, cache=True)(fn)  # type: ignore[no-any-return]


def plain(fn: Any) -> Callable[..., Any]:
    """The plain Python function behind a kernel: its twin, as long as it calls no other kernel through compiled code."""
    return getattr(fn, "py_func", fn)  # type: ignore[no-any-return]


class Checked:
    """Flat memory that refuses an index out of range; what kernels see under `TERCEL_KERNELS=checked`."""

    __slots__ = ("memory",)

    def __init__(self, memory: npt.NDArray[Any]) -> None:
        self.memory = memory

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self.memory):
            raise IndexError(f"kernel read at {index} of {len(self.memory)} words")
        return self.memory[index].item()

    def __setitem__(self, index: int, value: float) -> None:
        if not 0 <= index < len(self.memory):
            raise IndexError(f"kernel write at {index} of {len(self.memory)} words")
        self.memory[index] = value


class Plain:
    """Flat memory for kernels running as plain Python: reads give Python numbers, which neither wrap nor warn."""

    __slots__ = ("memory",)

    def __init__(self, memory: npt.NDArray[Any]) -> None:
        self.memory = memory

    def __getitem__(self, index: int) -> Any:
        return self.memory[index].item()

    def __setitem__(self, index: int, value: float) -> None:
        self.memory[index] = value


def address_of(memory: npt.NDArray[Any]) -> int:
    """The address of C-contiguous 8-byte memory, for `pointer_f` and `pointer_i` in a kernel; whoever asks keeps the array alive."""
    address = int(memory.ctypes.data)
    if not COMPILED:
        wrap = Checked if MODE == "checked" else Plain
        flat = memory.reshape(-1)
        PLAIN_MEMORY[address] = (wrap(flat.view(np.float64)), wrap(flat.view(np.int64)))
    return address


class Entry:
    """A kernel that Python can call: `entry(kernel).bind(arrays…, ints…)` fixes the memory, the result is called without conversions."""

    def __init__(self, fn: Any) -> None:
        self.function = plain(fn)
        self.name = f"{self.function.__module__}.{self.function.__name__}"
        marks = dict(self.function.__annotations__)
        result = marks.pop("return")
        self.marks: tuple[str, ...] = tuple(marks.values())
        self._native: Any = None
        if COMPILED:
            self._signature = _NUMBA[str(result)](*(_NUMBA[mark] for mark in self.marks))
            # A call through this prototype releases the interpreter lock.
            self._prototype = ctypes.CFUNCTYPE(_C[str(result)], *(_C[mark] for mark in self.marks))  # type: ignore[arg-type]

    def compile(self) -> Entry:
        """Compile now, or load from the cache; idempotent."""
        if COMPILED and self._native is None:
            self._native = numba.cfunc(self._signature, error_model="numpy", cache=True)(self.function)
        return self

    @property
    def address(self) -> int:
        """Where the machine code is; in plain Python a registered number."""
        if COMPILED:
            return int(self.compile()._native.address)
        PLAIN_OPS[id(self.function)] = self.function
        return id(self.function)

    def bind(self, *memory: npt.NDArray[Any]) -> Callable[..., Any]:
        """A callable over fixed memory: the leading `F` and `I` arguments are `memory`, the call passes the remaining scalars.

        Arrays must be C-contiguous, of 8-byte items, not resized while bound; the callable keeps them alive. Raises TypeError otherwise.
        """
        count = sum(mark in "FI" for mark in self.marks)
        if len(memory) != count:
            raise TypeError(f"{self.name}: expected {count} arrays, found {len(memory)}")
        for array, mark in zip(memory, self.marks, strict=False):
            if mark not in "FI" or array.itemsize != 8 or not array.flags.c_contiguous:
                raise TypeError(f"{self.name}: expected C-contiguous 8-byte memory for {mark!r}, found {array.dtype} {array.shape}")
        if COMPILED:
            native = self._prototype(self.address)
            fixed = tuple(ctypes.c_void_p(array.ctypes.data) for array in memory)

            def call(*scalars: Any) -> Any:
                return native(*fixed, *scalars)

            call.memory = memory  # type: ignore[attr-defined]
            return call
        wrap = Checked if MODE == "checked" else Plain
        flat = tuple(
            wrap(array.reshape(-1).view(np.float64 if mark == "F" else np.int64)) for array, mark in zip(memory, self.marks, strict=False)
        )
        function = self.function
        return lambda *scalars: function(*flat, *scalars)


_ENTRIES: dict[Any, Entry] = {}


def entry(fn: Any) -> Entry:
    """The entry of a kernel; one per kernel and process."""
    key = plain(fn)
    if key not in _ENTRIES:
        _ENTRIES[key] = Entry(fn)
    return _ENTRIES[key]


def compile_all(entries: Iterable[Entry], progress: Callable[[str, int, int], None] | None = None) -> None:
    """Compile or load every entry; `progress(name, done, total)` is told before each and once at the end."""
    todo = list(entries)
    for done, item in enumerate(todo):
        if progress:
            progress(item.name, done, len(todo))
        item.compile()
    if progress:
        progress("", len(todo), len(todo))
