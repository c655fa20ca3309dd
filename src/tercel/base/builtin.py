"""Entering compiled code at about the cost of `len()`: a real CPython built-in made from machine code, through ctypes only.

The built-in is called with one object; its code is `int64(int64 self, int64 argument)` over the addresses of both objects and returns the
address of a new reference, or 0 with an error set. `self` is an int64 array; its memory begins 16 bytes behind the object's address. The
interpreter lock is held throughout: only for calls of microseconds.

`usable` checks CPython's object layout with a probe; where it differs (free-threaded builds, other interpreters) callers take another door.
Source: "Extending and Embedding the Python Interpreter" and the C API reference of PyCFunction_NewEx and PyMethodDef.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tercel.base.kernel import COMPILED

HEADER_BYTES: Final = 16  # ob_refcnt and ob_type; ndarray.data and float.ob_fval come next
METH_O: Final = 8
# An ndarray as 8-byte words: its type, memory, number of dimensions (low half), shape, strides, dtype and flags (low half).
ND_TYPE, ND_DATA, ND_DIMENSIONS, ND_SHAPE, ND_STRIDES, ND_DTYPE, ND_FLAGS = 1, 2, 3, 4, 5, 7, 8
ND_LOW_HALF: Final = 0xFFFF_FFFF
# A list and a bytes as 8-byte words: type, length, then the address of the list's items, or the hash and the bytes themselves.
OB_TYPE, OB_LENGTH, LIST_ITEMS, BYTES_TEXT = 1, 2, 3, 4
ND_ALIGNED: Final = 0x0100


class _MethodDef(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


def built_in(name: str, address: int, owner: npt.NDArray[np.int64], *keep: Any) -> Callable[[Any], Any]:
    """A built-in of one argument. It owns `owner` (its self) and everything in `keep`, such as the code and the memory it reaches."""
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
    table = _MethodDef(name.encode(), address, METH_O, None)
    made: Callable[[Any], Any] = new(ctypes.addressof(table), owner, (table, *keep))
    return made


def usable() -> bool:
    """Whether kernels are compiled and this interpreter lays objects out as the built-ins expect."""
    if not COMPILED or sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    probe, number = np.arange(3, dtype=np.int64), 1.5
    data = ctypes.c_int64.from_address(id(probe) + HEADER_BYTES).value
    value = ctypes.c_double.from_address(id(number) + HEADER_BYTES).value
    return object.__basicsize__ == HEADER_BYTES and data == probe.ctypes.data and value == number


def arrays_usable() -> bool:
    """Whether built-ins may also read the shape, strides, dtype and flags of an array at the `ND_…` words."""
    if not usable():
        return False
    probe = np.arange(12.0).reshape(3, 4).T
    words = (ctypes.c_int64 * (ND_FLAGS + 1)).from_address(id(probe))
    shape, strides = ((ctypes.c_int64 * 2).from_address(words[place]) for place in (ND_SHAPE, ND_STRIDES))
    return (
        (words[ND_TYPE], words[ND_DATA], words[ND_DTYPE]) == (id(np.ndarray), probe.ctypes.data, id(probe.dtype))
        and (words[ND_DIMENSIONS] & ND_LOW_HALF, words[ND_FLAGS] & ND_LOW_HALF) == (2, probe.flags.num)
        and (*shape, *strides) == (*probe.shape, *probe.strides)
    )


def lists_usable() -> bool:
    """Whether built-ins may also read lists, and the bytes in them, at the words named above."""
    if not usable():
        return False
    text = b"probe of bytes"
    probe = [text]
    of_list, of_text = (ctypes.c_int64 * 4).from_address(id(probe)), (ctypes.c_int64 * 3).from_address(id(text))
    found = ctypes.string_at(id(text) + 8 * BYTES_TEXT, len(text))
    return (
        (of_list[OB_TYPE], of_list[OB_LENGTH], of_text[OB_TYPE], of_text[OB_LENGTH]) == (id(list), 1, id(bytes), len(text))
        and ctypes.c_int64.from_address(of_list[LIST_ITEMS]).value == id(text)
        and found == text
    )
