"""The table of opcodes, and how a kernel is entered into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tercel.base.kernel import Entry, entry

NAN = float("nan")


@dataclass(frozen=True)
class Opcode:
    """One entry of the opcode table. An opcode with one output calls it "value"; of several the first is the one that others read."""

    name: str
    number: int
    version: int
    function: Any
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    state_words: Callable[[Sequence[float]], int]
    memory_rows: Callable[[Sequence[float]], int]

    @property
    def entry(self) -> Entry:
        """The compiled function."""
        return entry(self.function)

    def labels(self, name: str) -> tuple[str, ...]:
        """The names of the outputs of a feature called `name`: the first has its name, the others add their own to it."""
        return labels(name, self.outputs)


def labels(name: str, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the columns of a feature called `name` that has these outputs."""
    return (name, *(f"{name}_{output}" for output in outputs[1:]))


OPCODES: dict[str, Opcode] = {}


def opcode(
    number: int,
    version: int,
    *,
    inputs: tuple[str, ...],
    parameters: tuple[str, ...] = (),
    outputs: tuple[str, ...] = ("value",),
    state_words: Callable[[Sequence[float]], int] = lambda _: 0,
    memory_rows: Callable[[Sequence[float]], int] = lambda _: 1,
) -> Callable[[Any], Any]:
    """Enter a kernel into the opcode table. `memory_rows` is how many rows it takes until an unknown past no longer matters."""

    def register(fn: Any) -> Any:
        name = fn.__name__
        OPCODES[name] = Opcode(name, number, version, fn, inputs, parameters, outputs, state_words, memory_rows)
        return fn

    return register
