"""A kernel in C, statement by statement."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import Any

from tercel.features.translate.expressions import Expressions
from tercel.features.translate.subset import C_OF, ITEM, NUMBERS, Call, convert


class Reader(Expressions):
    """Reads one kernel: `call` and `prototype` say how it is called, `body()` is the function in C under the name `name`.

    An opcode's outputs lie in its memory X, which takes only the one NaN whose sign and payload are portable: `opcode` checks that.
    """

    def __init__(self, function: FunctionType, name: str, call_of: Callable[[Any], Call], *, opcode: bool = False) -> None:
        lines, first = inspect.getsourcelines(function)
        super().__init__(function, first, call_of)
        found = ast.parse(textwrap.dedent("".join(lines))).body[0]
        assert isinstance(found, ast.FunctionDef)
        self.tree = found
        self.opcode = opcode
        self.loops = 0
        self.arguments = self._arguments()
        self.kinds.update(self.arguments)
        self.call = Call(name, tuple(self.arguments.values()), self._result())
        listed = ", ".join(f"{C_OF[mark]} {argument}_" for argument, mark in self.arguments.items())
        self.prototype = f"static {C_OF[self.call.result]} {name}({listed})"

    def body(self) -> str:
        """The whole function."""
        text = self.block(self.tree.body, 1)
        if self.call.result != "None" and not _returns(self.tree.body):
            raise self.refused(self.tree, "a path ends without a result", "a return at the end", text=f"def {self.tree.name}")
        local = "".join(f"    {C_OF[mark]} {name}_ = 0;\n" for name, mark in self.kinds.items() if name not in self.arguments)
        return f"{self.prototype} {{\n{local}{text}}}\n"

    def _arguments(self) -> dict[str, str]:
        listed = self.tree.args
        if listed.vararg or listed.kwarg or listed.kwonlyargs or listed.posonlyargs or listed.defaults:
            raise self.refused(self.tree, "arguments with defaults or stars", "plain names with their types", text=f"def {self.tree.name}")
        marks = {}
        for argument in listed.args:
            marks[argument.arg] = ast.unparse(argument.annotation) if argument.annotation else ""
            if marks[argument.arg] not in C_OF or marks[argument.arg] == "None":
                raise self.refused(argument, "an argument needs its type", "f64, i64, F or I behind it")
        return marks

    def _result(self) -> str:
        result = ast.unparse(self.tree.returns) if self.tree.returns else ""
        if result not in (*NUMBERS, "None"):
            raise self.refused(self.tree, "the type of its result", "-> f64, -> i64 or -> None", text=f"def {self.tree.name}")
        return result

    def block(self, body: Sequence[ast.stmt], depth: int) -> str:
        """Some statements, indented."""
        return "".join("    " * depth + text + "\n" for node in body for text in [self.statement(node, depth)] if text)

    def statement(self, node: ast.stmt, depth: int) -> str:
        """One statement; "" for what C does not need."""
        close = "    " * depth + "}"
        match node:
            case ast.Assign(targets=[target]):
                return self.assign(node, target, node.value)
            case ast.AugAssign():
                sum_of = ast.copy_location(ast.BinOp(node.target, node.op, node.value), node)
                return self.assign(node, node.target, sum_of)
            case ast.If():
                self.one_at_a_time(node, node.test)
                other = f" else {{\n{self.block(node.orelse, depth + 1)}{close}" if node.orelse else ""
                return f"if ({self.condition(node.test)}) {{\n{self.block(node.body, depth + 1)}{close}{other}"
            case ast.While(orelse=[]):
                self.one_at_a_time(node, node.test)
                return f"while ({self.condition(node.test)}) {{\n{self.block(node.body, depth + 1)}{close}"
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]), orelse=[]):
                return self.loop(node, name, bounds, depth) + close
            case ast.Return():
                return self.result(node)
            case ast.Expr(value=ast.Call()):
                self.one_at_a_time(node, node.value)
                return self.expression(node.value).text + ";"
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return ""
            case ast.Break():
                return "break;"
            case ast.Continue():
                return "continue;"
        instead = "assignments to one name or place, if, while, for over range, break, continue, return, calls of kernels"
        raise self.refused(node, "a statement outside the subset", instead)

    def loop(self, node: ast.For, name: str, bounds: Sequence[ast.expr], depth: int) -> str:
        """A `for` over a range. C counts in a variable of its own, so that assigning to the name does what it does in Python."""
        if len(bounds) > 2:
            raise self.refused(node, "a range with a step", "`range(start, stop)` and the product, or `while`")
        self.loops += 1
        count = f"count{self.loops}"
        for bound in bounds:
            self.one_at_a_time(node, bound)
        first, last = ["0LL", *(self.typed(bound, "i64") for bound in bounds)][-2:]
        self.keep(node, name, "i64")
        body = f"{'    ' * (depth + 1)}{name}_ = {count};\n{self.block(node.body, depth + 1)}"
        return f"for (i64 {count} = {first}, {count}_end = {last}; {count} < {count}_end; {count}++) {{\n{body}"

    def assign(self, node: ast.stmt, target: ast.expr, source: ast.expr) -> str:
        """`name = value` or `memory[index] = value`."""
        self.one_at_a_time(node, source, target)
        value = self.expression(source)
        if isinstance(target, ast.Name):
            if value.mark not in NUMBERS:
                raise self.refused(node, f"a variable is a number, not {value.mark}", "the comparison or the memory where it is needed")
            self.keep(node, target.id, value.mark)
            return f"{target.id}_ = {value.text};"
        if not isinstance(target, ast.Subscript):
            raise self.refused(node, "an assignment outside the subset", "one name or one place in memory on the left")
        place = self.expression(target)
        if place.mark != value.mark:
            raise self.refused(node, f"the memory holds {place.mark}, the value is {value.mark}", f"{convert(place.mark)} around the value")
        if self.opcode and ast.unparse(target.value) == "X" and not _one_nan(source):
            raise self.refused(node, "an output may be a NaN that is not portable", "`X[..] = out if out == out else NAN`")
        return f"{place.text} = {value.text};"

    def result(self, node: ast.Return) -> str:
        """`return`, with a value of the declared type."""
        if node.value is None or self.call.result == "None":
            if node.value is not None or self.call.result != "None":
                raise self.refused(node, f"the result is {self.call.result}", "what -> says")
            return "return;"
        self.one_at_a_time(node, node.value)
        return f"return {self.typed(node.value, self.call.result)};"

    def keep(self, node: ast.stmt, name: str, mark: str) -> None:
        """A variable keeps one type."""
        if self.kinds.setdefault(name, mark) != mark:
            raise self.refused(node, f"{name} was {self.kinds[name]} and becomes {mark}", f"{convert(self.kinds[name])}, or another name")

    def one_at_a_time(self, node: ast.stmt, source: ast.expr, target: ast.expr | None = None) -> None:
        """C chooses its order of evaluation: beside a call that may write memory, a statement reads none and calls none like it."""
        calls = [part for part in ast.walk(source) if isinstance(part, ast.Call) and self._has_memory(part)]
        if not calls:
            return
        within = {id(part) for part in ast.walk(calls[0])}
        beside = [part for part in _reads(source) if id(part) not in within]
        if isinstance(target, ast.Subscript):
            beside += _reads(target.slice)
        if len(calls) > 1 or beside:
            instead = "its result into a variable first, one statement each"
            raise self.refused(node, "a kernel that may write memory is called beside other reads or calls", instead)

    def _has_memory(self, call: ast.Call) -> bool:
        return any(isinstance(part, ast.Name) and self.kinds.get(part.id) in ITEM for part in call.args)


def _reads(node: ast.expr) -> Iterator[ast.Subscript]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Subscript))


def _one_nan(value: ast.expr) -> bool:
    """Whether a value is `out if out == out else NAN`."""
    match value:
        case ast.IfExp(
            test=ast.Compare(left=ast.Name(id=left), ops=[ast.Eq()], comparators=[ast.Name(id=right)]),
            body=ast.Name(id=out),
            orelse=ast.Name(id="NAN"),
        ):
            return left == right == out
    return False


def _returns(body: Sequence[ast.stmt]) -> bool:
    """Whether some statements end with a return on every path."""
    last = body[-1]
    return isinstance(last, ast.Return) or (
        isinstance(last, ast.If) and bool(last.orelse) and _returns(last.body) and _returns(last.orelse)
    )
