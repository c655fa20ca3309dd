"""Arguments of the wrong kind are refused where the user passes them: what, expected, found. One decorator for functions and records.

The annotations say what is expected; they are read at the first call, so that importing a module costs nothing.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Final, TypeVar

from tercel.base.errors import ConfigError

T = TypeVar("T")
WORDS: Final[dict[Any, str]] = {float: "a number", int: "a whole number", str: "a text", bool: "True or False", type(None): "None"}
FOUND_MAX: Final = 80


def typed(**such_as: str) -> Callable[[T], T]:
    """Check every argument of a function, or of a class's construction, against its annotation. `such_as` says what to pass for some.

    Raises `ConfigError` at the call: "ema: rows: expected a whole number, found '20'". A number that is whole is whole as a float, too; of
    a list every member is checked. Which values are good is for the function to say.

    >>> from tercel.base.typed import typed
    >>> @typed(size="lots, such as 0.1")
    ... def order(size: float) -> float:
    ...     return size
    >>> order("2")
    Traceback (most recent call last):
    tercel.base.errors.ConfigError: order: size: expected lots, such as 0.1, found '2'
    """

    def decorate(target: Any) -> Any:
        call = vars(target)["__init__"] if isinstance(target, type) else target
        name = target.__name__

        @functools.cache
        def signature() -> tuple[inspect.Signature, dict[str, Any]]:
            return inspect.signature(call), typing.get_type_hints(call)

        @functools.wraps(call)
        def checked(*arguments: Any, **named: Any) -> Any:
            found, wanted = signature()
            try:
                bound = found.bind(*arguments, **named)
            except TypeError as error:
                raise TypeError(f"{name}: {error}") from None
            for argument, value in bound.arguments.items():
                kind = wanted.get(argument, Any)
                if not fits(value, kind):
                    raise ConfigError(f"{name}: {argument}: expected {such_as.get(argument) or described(kind)}, found {shown(value)}")
            return call(*arguments, **named)

        if not isinstance(target, type):
            return checked
        target.__init__ = checked  # type: ignore[misc]  # there are no instances yet
        return target

    return decorate


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated kind."""
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in of)
    if origin is typing.Literal:
        return value in of
    if kind in (int, float):
        whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
        return not isinstance(value, bool) and (whole if kind is int else isinstance(value, Real))
    if origin is None:
        return isinstance(value, kind)
    if origin is Callable:
        return callable(value)
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(key, of[0]) and fits(one, of[1]) for key, one in value.items())
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return False
    return not isinstance(value, Sequence) or all(fits(one, of[0]) for one in value)


def described(kind: Any) -> str:
    """An annotated kind for people; that nothing may be passed goes without saying."""
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        words = [described(one) for one in of if one is not type(None)]
        return ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1]
    if origin is typing.Literal:
        return " or ".join(map(repr, of))
    if origin is Callable:
        return "a function"
    if origin is None:
        return WORDS.get(kind, getattr(kind, "__name__", str(kind)))
    return f"a table by name, each {described(of[1])}" if issubclass(origin, Mapping) else f"a list, each {described(of[0])}"


def shown(value: Any) -> str:
    """A value as an error shows it; a class that should have been an instance is named as one."""
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)[:FOUND_MAX]
