"""One C file: some kernels, the opcodes, and everything they call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tercel.base.kernel import plain
from tercel.features.opcodes import Opcode
from tercel.features.translate.statements import Reader
from tercel.features.translate.subset import C_EXPORTED, C_OF, HEAD, OP_ARGUMENTS, Call, NotInSubset


def translate(exports: Sequence[Any], opcodes: Iterable[Opcode] = ()) -> str:
    """The C text of the kernels `exports` and all they call; each of them is exported under its own name, its integers as int32.

    Where a kernel calls an opcode by address (`call_op`), C calls it by its number in the table of opcodes. Raises `NotInSubset`.
    """
    unit = Unit()
    doors = [unit.door(kernel) for kernel in exports]
    switch = unit.switch(opcodes)
    return "\n".join([HEAD, "".join(unit.prototypes), switch, *unit.bodies, *doors])


class Unit:
    """A C file in the making: every kernel once, under a name of its own."""

    def __init__(self) -> None:
        self.calls: dict[Any, Call | None] = {}  # None while a kernel is being translated
        self.prototypes: list[str] = []
        self.bodies: list[str] = []

    def call(self, kernel: Any, *, opcode: bool = False) -> Call:
        """How to call a kernel, which is translated the first time."""
        function: Any = plain(kernel)
        if function not in self.calls:
            self.calls[function] = None
            reader = Reader(function, f"k{len(self.calls)}_{function.__name__}", self.call, opcode=opcode)
            body = reader.body()
            self.calls[function] = reader.call
            self.prototypes.append(reader.prototype + ";\n")
            self.bodies.append(body)
        found = self.calls[function]
        if found is None:
            raise NotInSubset(f"{function.__module__}.{function.__name__}: calls itself; write a loop")
        return found

    def switch(self, opcodes: Iterable[Opcode]) -> str:
        """The function that calls an opcode by its number."""
        listed = sorted(opcodes, key=lambda opcode: opcode.number)
        cases = [(opcode, self.call(opcode.function, opcode=True)) for opcode in listed]
        lines = "".join(f"    case {opcode.number}: {call.name}({', '.join(OP_ARGUMENTS)}); break;\n" for opcode, call in cases)
        arguments = ", ".join(f"{C_OF[mark]} {name}" for name, mark in OP_ARGUMENTS.items())
        return f"static void call_op(i64 op, {arguments}) {{\n    switch (op) {{\n{lines}    }}\n}}\n"

    def door(self, kernel: Any) -> str:
        """The exported function that calls a kernel."""
        call, name = self.call(kernel), plain(kernel).__name__
        if call.result == "i64":
            raise NotInSubset(f"{name}: an exported kernel returns i64, which JavaScript takes as a BigInt only; write -> f64 or -> None")
        names = [f"a{place}" for place in range(len(call.marks))]
        arguments = ", ".join(f"{C_EXPORTED[mark]} {argument}" for argument, mark in zip(names, call.marks, strict=True))
        back = "" if call.result == "None" else "return "
        head = f'__attribute__((export_name("{name}"))) {C_OF[call.result]} door_{name}({arguments})'
        return f"{head} {{ {back}{call.name}({', '.join(names)}); }}\n"
