"""What `backtest`, `train` and `check` play: history of the catalog, or a simulated market for those who have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from tercel.drivers.history import Source

Simulated = Annotated[
    str | None, Parameter(help="Play so much of a simulated market, such as 24h, instead of recorded history. It needs no data.")
]
MarketSeed = Annotated[int, Parameter(help="Seed of the simulated market.")]
SIMULATED_NS_MAX = 366 * 86_400_000_000_000


def source(
    verb: str, names: tuple[str, ...], start: str | None, end: str | None, *, every: str | None = None, price: str = "mid",
    simulated: str | None = None, seed: int = 1,
) -> Source:  # fmt: skip
    """The history that a verb was asked for. Raises `ConfigError` for what cannot go together, or when there is nothing to play."""
    from tercel.base.errors import ConfigError
    from tercel.base.time import NS_PER_H, parse_duration
    from tercel.drivers.history import SimulatedHistory, default_names, history
    from tercel.market.catalog import Catalog

    if simulated is None:
        catalog = Catalog()
        return history(names or default_names(catalog), start, end, every=every, price=price, catalog=catalog)
    if names or start or end or every:
        raise ConfigError(
            f"{verb} --simulated: the simulated market has its own instruments and times; leave out names, --start, --end, --every"
        )
    length_ns = parse_duration(simulated)
    if not 0 < length_ns <= SIMULATED_NS_MAX:
        raise ConfigError(f"{verb} --simulated: expected more than 0 and at most a year, found {simulated!r}")
    return SimulatedHistory(seed, length_ns / NS_PER_H)
