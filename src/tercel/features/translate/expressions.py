"""Expressions of a kernel in C, each with its type."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tercel.base import kernel
from tercel.features.translate.subset import (
    ARITHMETIC,
    BITWISE,
    CALL_INSTEAD,
    COMPARISONS,
    ITEM,
    KNOWN,
    NUMBERS,
    OPERATOR_INSTEAD,
    Call,
    NotInSubset,
    Value,
    convert,
)


class Expressions:
    """The names of one kernel and what its expressions are in C."""

    def __init__(self, function: FunctionType, first_line: int, call_of: Callable[[Any], Call]) -> None:
        self.function = function
        self.first_line = first_line
        self.call_of = call_of
        self.kinds: dict[str, str] = {}

    def refused(self, node: ast.AST, why: str, instead: str, *, text: str = "") -> NotInSubset:
        """The error for a place in the source."""
        place = f"{Path(self.function.__code__.co_filename).name}:{self.first_line - 1 + getattr(node, 'lineno', 1)}"
        return NotInSubset(f"{place}: `{text or ast.unparse(node).splitlines()[0]}`: {why}; write {instead}")

    def typed(self, node: ast.expr, mark: str) -> str:
        """An expression that must be of a type."""
        value = self.expression(node)
        if value.mark != mark:
            instead = f"{convert(mark)} around it" if mark in NUMBERS else f"the name of an argument of type {mark}"
            raise self.refused(node, f"expected {mark}, found {value.mark}", instead)
        return value.text

    def condition(self, node: ast.expr) -> str:
        """A condition is a comparison, never a number."""
        value = self.expression(node)
        if value.mark != "bool":
            raise self.refused(node, f"a condition is a comparison, found {value.mark}", "`!= 0` or `!= 0.0` behind it")
        return value.text

    def expression(self, node: ast.expr) -> Value:
        """One expression."""
        match node:
            case ast.Constant():
                return self.constant(node, node.value)
            case ast.Name(id=name) if name in self.kinds:
                return Value(f"{name}_", self.kinds[name])
            case ast.Name() | ast.Attribute():
                return self.constant(node, self.resolve(node))
            case ast.Subscript(value=ast.Name(id=name)) if self.kinds.get(name) in ITEM:
                return self.place(node, name)
            case ast.UnaryOp(op=ast.USub()):
                return self.negative(node)
            case ast.UnaryOp(op=ast.Not()):
                return Value(f"(!{self.condition(node.operand)})", "bool")
            case ast.BoolOp():
                sign = " && " if isinstance(node.op, ast.And) else " || "
                return Value("(" + sign.join(self.condition(part) for part in node.values) + ")", "bool")
            case ast.BinOp():
                return self.operation(node)
            case ast.Compare():
                return self.comparison(node)
            case ast.IfExp():
                return self.choice(node)
            case ast.Call(keywords=[]):
                return self.called(node)
        instead = "numbers, names, memory[index], operators, comparisons and calls of kernels with plain arguments"
        raise self.refused(node, "an expression outside the subset", instead)

    def constant(self, node: ast.expr, value: object) -> Value:
        """A number, to the bit."""
        if type(value) is int:
            if not -(2**63) < value < 2**63:
                raise self.refused(node, "an integer beyond 63 bits", "a smaller one, or a float")
            return Value(f"({value}LL)", "i64")
        if type(value) is float:
            if math.isfinite(value):
                return Value(f"({value.hex()})", "f64")
            return Value('__builtin_nan("")' if value != value else "__builtin_inf()" if value > 0.0 else "(-__builtin_inf())", "f64")
        raise self.refused(
            node, "neither a number nor a variable assigned above", "a number, or the name of one where the kernel is written"
        )

    def place(self, node: ast.Subscript, name: str) -> Value:
        """A place in memory."""
        if isinstance(node.slice, ast.UnaryOp):
            raise self.refused(node, "an index is not negative", "the index from the start")
        return Value(f"{name}_[{self.typed(node.slice, 'i64')}]", ITEM[self.kinds[name]])

    def negative(self, node: ast.UnaryOp) -> Value:
        """A number with its sign turned."""
        value = self.expression(node.operand)
        if value.mark not in NUMBERS:
            raise self.refused(node, f"the sign of {value.mark}", "a number behind it")
        return Value(f"(-{value.text})", value.mark)

    def operation(self, node: ast.BinOp) -> Value:
        """Arithmetic on two numbers of one type."""
        kind = type(node.op)
        sign = ARITHMETIC.get(kind) or BITWISE.get(kind)
        if sign is None:
            raise self.refused(node, "an operator that the languages do differently", OPERATOR_INSTEAD.get(kind, "+ - * /"))
        left, right = self.expression(node.left), self.expression(node.right)
        if left.mark != right.mark or left.mark not in NUMBERS:
            raise self.refused(node, f"its sides are {left.mark} and {right.mark}", "float() or int() around one of them, 2.0 for 2")
        if kind is ast.Div and left.mark == "i64":
            raise self.refused(node, "a quotient of integers", "float() around both")
        if kind in BITWISE and left.mark == "f64":
            raise self.refused(node, "the bits of floats", "`bits(x)` around both")
        return Value(f"({left.text} {sign} {right.text})", left.mark)

    def comparison(self, node: ast.Compare) -> Value:
        """One comparison of two numbers of one type."""
        if len(node.ops) > 1:
            raise self.refused(node, "a chained comparison", "`a < b and b < c`")
        sign = COMPARISONS.get(type(node.ops[0]))
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        if sign is None or left.mark != right.mark or left.mark not in NUMBERS:
            why = f"a comparison of {left.mark} with {right.mark}"
            raise self.refused(node, why, "== != < <= > >= between two numbers of one type, 2.0 for 2")
        return Value(f"({left.text} {sign} {right.text})", "bool")

    def choice(self, node: ast.IfExp) -> Value:
        """`a if condition else b`."""
        one, other = self.expression(node.body), self.expression(node.orelse)
        if one.mark != other.mark or one.mark not in NUMBERS:
            raise self.refused(node, f"its branches are {one.mark} and {other.mark}", "two numbers of one type, 2.0 for 2")
        return Value(f"({self.condition(node.test)} ? {one.text} : {other.text})", one.mark)

    def called(self, node: ast.Call) -> Value:
        """A call of a kernel or of one of the few functions that give the same bits everywhere."""
        found = self.resolve(node.func)
        call = next((call for known, call in KNOWN if known is found), None)
        if call is None and (hasattr(found, "py_func") or (not kernel.COMPILED and isinstance(found, FunctionType))):
            call = self.call_of(found)
        if call is None:
            instead = next((text for known, text in CALL_INSTEAD if known is found), "a kernel and call that by its name")
            raise self.refused(node, "a call of what is no kernel", instead)
        if len(node.args) != len(call.marks):
            raise self.refused(node, f"{len(node.args)} arguments", f"the {len(call.marks)} it takes")
        return Value(f"{call.name}({', '.join(map(self.typed, node.args, call.marks))})", call.result)

    def resolve(self, node: ast.expr) -> Any:
        """What a name or `module.name` stands for where the kernel is written; None for nothing."""
        if isinstance(node, ast.Name):
            return self.function.__globals__.get(node.id, getattr(builtins, node.id, None))
        if isinstance(node, ast.Attribute) and isinstance(module := self.resolve(node.value), ModuleType):
            return getattr(module, node.attr, None)
        return None
