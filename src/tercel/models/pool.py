"""Holds loaded models under a bound of number and bytes, and loads them where nobody waits for it.

`get` never loads in its caller: it returns the model, or asks for it and returns None until it is there. One thread loads, one model at a
time, once for however many ask. What does not fit pushes out the model that was used least: each use counts one, all counts are halved
after every `AGE_USES` uses for each model the pool may hold, and of equal counts the one whose last use is longest ago goes. A pinned model
never goes. A model that cannot fit, or whose load failed, is refused with its cause for `failure_s`; then the next `get` tries again.

Nothing here knows what a model is, but for `bytes`. Whoever still uses a model that was pushed out keeps it alive; the pool only forgets
it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from tercel.base.errors import ConfigError, TercelError

AGE_USES: Final = 64
MODELS_MAX: Final = 3
BYTES_MAX: Final = 1 << 29
WAITING_MAX: Final = 64
FAILURE_S: Final = 5.0


class Sized(Protocol):
    """What a pool holds: anything that knows its size."""

    @property
    def bytes(self) -> int:
        """Memory it takes, in bytes."""


Model = TypeVar("Model", bound=Sized)


class ModelUnavailable(TercelError):
    """A model is not there and does not come: go on with the last good one, with rules, or stand aside. The cause says why."""


class Counters(NamedTuple):
    """What happened since the pool was made, and what it holds now."""

    hits: int
    misses: int  # `get` of a model that was not there, whether it was being loaded or not
    loads: int  # that succeeded
    failures: int  # loads that did not, and models that did not fit
    evictions: int
    deferred: int  # `get` that found the queue of loads full: the next one asks again
    load_seconds: float  # of all loads, those that failed too
    models: int
    bytes: int


class _Held(Generic[Model]):
    """A model in the pool: how often it was used, of late, and when last."""

    def __init__(self, model: Model, used_at: int) -> None:
        self.model, self.size, self.uses, self.used_at = model, model.bytes, 1, used_at


class Pool(Generic[Model]):
    """Models by key. `load(key)` runs in the pool's thread and may take its time; `clock_ns` never decreases, such as `clock_ns` of base.

    Every method may be called from any thread. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        load: Callable[[str], Model],
        clock_ns: Callable[[], int],
        *,
        models_max: int = MODELS_MAX,
        bytes_max: int = BYTES_MAX,
        waiting_max: int = WAITING_MAX,
        failure_s: float = FAILURE_S,
    ) -> None:
        for name, value in (("models_max", models_max), ("bytes_max", bytes_max), ("waiting_max", waiting_max)):
            if value < 1:
                raise ConfigError(f"pool: {name}: expected at least 1, found {value}")
        self._load, self._clock_ns = load, clock_ns
        self._models_max, self._bytes_max, self._waiting_max, self._failure_ns = models_max, bytes_max, waiting_max, int(failure_s * 1e9)
        self._held: dict[str, _Held[Model]] = {}
        self._pinned: set[str] = set()
        self._failed: dict[str, tuple[int, Exception]] = {}
        self._queue: deque[str] = deque()
        self._asked: set[str] = set()  # in the queue or being loaded
        self._uses = self._hits = self._misses = self._loads = self._failures = self._evictions = self._deferred = self._load_ns = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="tercel-model-pool", daemon=True)
        self._thread.start()

    def get(self, key: str) -> Model | None:
        """The model, or None while it is not there; asks for it when nobody has. Raises `ModelUnavailable` after a failure or `close`."""
        with self._changed:
            return self._get(key)

    def wait(self, key: str, deadline_s: float) -> Model:
        """The model, as soon as it is there. Raises `ModelUnavailable` when it is not within `deadline_s` seconds, or as `get` does."""
        with self._changed:
            until_ns = self._clock_ns() + int(deadline_s * 1e9)
            found = self._get(key)
            while found is None:
                # An injected clock may stand still: one wait of the whole deadline without any change ends it too.
                left_s = (until_ns - self._clock_ns()) / 1e9
                if left_s <= 0.0 or not self._changed.wait(left_s):
                    raise ModelUnavailable(
                        f"model {key}: expected within {deadline_s:g} s, is still not loaded; ask again or go on without"
                    )
                if key not in self._asked or self._closed:  # a load that ended, or one that the queue had no room for
                    found = self._get(key, again=True)
            return found

    def refresh(self, key: str) -> None:
        """Load the model anew; the one that is there serves until the new one is, and stays when that fails. Asks once."""
        with self._changed:
            self._failed.pop(key, None)
            self._ask(key)

    def pin(self, key: str) -> None:
        """Keep this model whatever comes, once it is there; pinning loads nothing."""
        with self._changed:
            self._pinned.add(key)

    def unpin(self, key: str) -> None:
        """Let this model go as any other."""
        with self._changed:
            self._pinned.discard(key)

    def keys(self) -> tuple[str, ...]:
        """The models that are there, in the order in which they would go, pinned ones left out of the order and put last."""
        with self._changed:
            return tuple(sorted(self._held, key=self._rank))

    def counters(self) -> Counters:
        """A picture of one moment."""
        with self._changed:
            return Counters(
                self._hits, self._misses, self._loads, self._failures, self._evictions, self._deferred, self._load_ns / 1e9,
                len(self._held), self._bytes(),
            )  # fmt: skip

    def close(self, deadline_s: float = 10.0) -> bool:
        """Forget every model and wake everybody who waits; False when a load still runs after `deadline_s` (its result is thrown away)."""
        with self._changed:
            self._closed = True
            self._held.clear()
            self._queue.clear()
            self._changed.notify_all()
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def __enter__(self) -> Pool[Model]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _get(self, key: str, again: bool = False) -> Model | None:
        if self._closed:
            raise ModelUnavailable(f"model {key}: the pool is closed")
        held = self._held.get(key)
        self._misses += held is None and not again
        if held is not None:
            self._hits += 1
            self._use(held)
            return held.model
        if key in self._failed:
            since_ns, cause = self._failed[key]
            if self._clock_ns() - since_ns < self._failure_ns:
                raise ModelUnavailable(f"model {key}: {cause}; it is asked for again {self._failure_ns / 1e9:g} s after that") from cause
            del self._failed[key]
        self._ask(key)
        return None

    def _use(self, held: _Held[Model]) -> None:
        self._uses += 1
        held.uses, held.used_at = held.uses + 1, self._uses
        if self._uses % (AGE_USES * self._models_max) == 0:
            for each in self._held.values():
                each.uses >>= 1

    def _ask(self, key: str) -> None:
        if key in self._asked or self._closed:
            return
        if len(self._queue) >= self._waiting_max:
            self._deferred += 1
            return
        self._asked.add(key)
        self._queue.append(key)
        self._changed.notify_all()

    def _work(self) -> None:
        """The pool's thread: one load after the other until it is closed."""
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                key = self._queue.popleft()
            begin_ns = self._clock_ns()
            try:
                model, cause = self._load(key), None
            except Exception as error:  # noqa: BLE001 - whatever a loader raises is the model's failure, not the pool's end
                model, cause = None, error
            with self._changed:
                self._load_ns += self._clock_ns() - begin_ns
                self._asked.discard(key)
                if not self._closed:
                    self._settle(key, model, cause)
                self._changed.notify_all()

    def _settle(self, key: str, model: Model | None, cause: Exception | None) -> None:
        """Put a loaded model in, or remember why there is none."""
        if model is not None:
            cause = self._admit(key, model)
        if cause is None:
            self._loads += 1
            return
        self._failures += 1
        self._failed[key] = self._clock_ns(), cause
        while len(self._failed) > self._waiting_max:
            del self._failed[next(iter(self._failed))]

    def _admit(self, key: str, model: Model) -> Exception | None:
        """Make room and put the model in; an error, and nothing pushed out, when no room can be made."""
        size, others = model.bytes, {name: held for name, held in self._held.items() if name != key}
        if size > self._bytes_max:
            return ConfigError(f"takes {size} bytes, expected at most {self._bytes_max} (bytes_max): raise it or train a smaller model")
        stay = [held for name, held in others.items() if name in self._pinned]
        if len(stay) >= self._models_max or sum(held.size for held in stay) + size > self._bytes_max:
            return ConfigError(
                f"finds no room for {size} bytes: {len(stay)} pinned models stay; unpin one or raise models_max or bytes_max"
            )
        going = sorted((name for name in others if name not in self._pinned), key=self._rank, reverse=True)
        while len(others) >= self._models_max or sum(held.size for held in others.values()) + size > self._bytes_max:
            name = going.pop()
            del others[name], self._held[name]
            self._evictions += 1
        old = self._held.get(key)
        self._uses += old is None
        self._held[key] = _Held(model, self._uses)
        if old is not None:
            self._held[key].uses, self._held[key].used_at = old.uses, old.used_at
        return None

    def _rank(self, key: str) -> tuple[bool, int, int]:
        held = self._held[key]
        return key in self._pinned, held.uses, held.used_at

    def _bytes(self) -> int:
        return sum(held.size for held in self._held.values())
