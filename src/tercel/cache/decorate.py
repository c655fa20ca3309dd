"""`@cached`: a function whose results are kept, keyed by its normalised arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from tercel.cache.cache import Cache
from tercel.cache.keys import DECIMALS, key, signature
from tercel.cache.level1 import MISSING
from tercel.cache.lives import Life

P = ParamSpec("P")
R = TypeVar("R")


def cached(
    cache: Cache, *, life: Life | Callable[[Any], Life] | float | None = None, tags: Callable[..., Iterable[str]] | Iterable[str] = (),
    decimals: int = DECIMALS, config: Any = None, deadline_s: float | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:  # fmt: skip
    """Keep the results of an asynchronous function in both levels, of a synchronous one in level 1 alone.

    The key is the function's name, its arguments (numbers rounded to `decimals`) and the signature of `config`. `tags` may be a function of
    the same arguments. The decorated function has `key_of(*args)` and, when asynchronous, `invalidate(*args)`.
    """
    mark = signature(config) if config is not None else ""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function)

        def key_of(*args: Any, **kwargs: Any) -> str:
            bound = parameters.bind(*args, **kwargs)
            bound.apply_defaults()
            return key(function.__qualname__, bound.args, bound.kwargs, decimals=decimals, signature=mark)

        def tags_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterable[str]:
            return tags(*args, **kwargs) if callable(tags) else tags

        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            return await cache.get_or_compute(
                key_of(*args, **kwargs), lambda: function(*args, **kwargs), life=life, tags=tags_of(args, kwargs), deadline_s=deadline_s
            )

        def synchronous(*args: Any, **kwargs: Any) -> Any:
            name = key_of(*args, **kwargs)
            value = cache.get(name, MISSING)
            if value is MISSING:
                value = cache.keep(name, functools.partial(function, *args, **kwargs), life=life, tags=tags_of(args, kwargs))
            return value

        async def invalidate(*args: Any, **kwargs: Any) -> bool:
            return await cache.invalidate(key_of(*args, **kwargs))

        wrapped: Any = functools.wraps(function)(asynchronous if inspect.iscoroutinefunction(function) else synchronous)
        wrapped.key_of, wrapped.invalidate = key_of, invalidate
        return wrapped  # type: ignore[no-any-return]

    return decorate
