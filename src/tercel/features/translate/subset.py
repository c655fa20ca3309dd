"""The tables of the subset: what each operator and function is in C, and what to write instead of what is not in it."""

from __future__ import annotations

import ast
import math
from typing import Any, Final, NamedTuple

from tercel.base import kernel
from tercel.base.errors import TercelError


class NotInSubset(TercelError):
    """A kernel uses what the translator does not know; its author must write it otherwise."""


class Call(NamedTuple):
    """How a function is called in C: its name, the types of its arguments and that of its result."""

    name: str
    marks: tuple[str, ...]
    result: str


class Value(NamedTuple):
    """A translated expression: its text and its type, one of f64, i64, bool, F, I and None."""

    text: str
    mark: str


NUMBERS: Final = ("f64", "i64")
ITEM: Final = {"F": "f64", "I": "i64"}
C_OF: Final = {"f64": "f64", "i64": "i64", "F": "f64 *", "I": "i64 *", "None": "void"}
C_EXPORTED: Final = C_OF | {"i64": "int"}  # JavaScript passes an int64 as a BigInt only
OP_ARGUMENTS: Final = {"S": "F", "s": "i64", "P": "F", "p": "i64", "X": "F", "R": "I", "r": "i64", "n": "i64"}
HEAD: Final = """typedef double f64;
typedef long long i64;
static i64 bits(f64 x) { i64 y; __builtin_memcpy(&y, &x, 8); return y; }
static f64 unbits(i64 x) { f64 y; __builtin_memcpy(&y, &x, 8); return y; }
static f64 single(f64 x) { return (f64)(float)x; }
static i64 floor_of(f64 x) { return (i64)__builtin_floor(x); }
"""
# The functions that give the same bits everywhere. Compared by identity: a name means what it means where the kernel is written.
KNOWN: Final[tuple[tuple[Any, Call], ...]] = (
    (abs, Call("__builtin_fabs", ("f64",), "f64")),
    (math.sqrt, Call("__builtin_sqrt", ("f64",), "f64")),
    (math.floor, Call("floor_of", ("f64",), "i64")),
    (float, Call("(f64)", ("i64",), "f64")),
    (int, Call("(i64)", ("f64",), "i64")),
    (kernel.bits, Call("bits", ("f64",), "i64")),
    (kernel.unbits, Call("unbits", ("i64",), "f64")),
    (kernel.single, Call("single", ("f64",), "f64")),
    (kernel.call_op, Call("call_op", ("i64", *OP_ARGUMENTS.values()), "None")),
)
ARITHMETIC: Final[dict[type[ast.operator], str]] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
BITWISE: Final[dict[type[ast.operator], str]] = {
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
}
COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
POWER: Final = "the products, or `exp(y * log(x))` with tercel.base.real"
OPERATOR_INSTEAD: Final[dict[type[ast.operator], str]] = {
    ast.FloorDiv: "`math.floor(a / b)` of floats, or >> for a power of two",
    ast.Mod: "`a - b * float(math.floor(a / b))` of floats, & for a power of two, or keep a counter",
    ast.Pow: POWER,
}
CALL_INSTEAD: Final[tuple[tuple[Any, str], ...]] = (
    (min, "`a if a < b else b`"),
    (max, "`a if a > b else b`"),
    (pow, POWER),
    (math.pow, POWER),
    (round, "`round_even` of tercel.base.exact, or math.floor"),
    (math.exp, "`exp` of tercel.base.real, whose bits are the same everywhere"),
    (math.log, "`log` of tercel.base.real, whose bits are the same everywhere"),
    (math.isnan, "`x != x`"),
    (math.fabs, "`abs(x)`"),
)


def convert(mark: str) -> str:
    """What turns the other number into this one."""
    return "float()" if mark == "f64" else "int()"
