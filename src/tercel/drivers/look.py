"""What every history offers a person: its records and features as tables, a plot, and how it shows itself in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tercel.base import html
from tercel.base.errors import ConfigError
from tercel.base.frames import Kind, frame
from tercel.features.spec import FeatureSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tercel.drivers.history import Source

FRAME_ROWS_MAX = 20_000_000


class Look:
    """Methods for people, over the few that every history has (`history.Source`)."""

    def frame(self: Any, kind: str | None = None, *, rows_max: int = FRAME_ROWS_MAX, as_: Kind = "pandas") -> Any:
        """The records of one kind ("quote", "trade", "bar"; default: the first of these there is) as a table, in order of arrival.

        Columns: time (datetime64[ns], UTC), instrument where there are several, and bid, ask, bid_size, ask_size; or price, size, side; or
        open, high, low, close, volume. Kind "gap" has no more columns: it is when data was lost, which the other kinds do not show; from
        such a time to the next row nothing is known. `as_` is "pandas" (needs `tercel[pandas]`), "arrow" or "numpy". Raises
        `ConfigError` when there is nothing of that kind, or more than `rows_max` rows.

        >>> import tercel as tc
        >>> table = tc.SimulatedHistory(seed=7, hours=0.1).frame("trade", as_="arrow")
        >>> table.column_names
        ['time', 'instrument', 'price', 'size', 'side']
        """
        from tercel.drivers.values import record_columns

        return frame(self._without_one_name(record_columns(self, kind, rows_max)), as_)

    def values(self: Any, features: FeatureSet, *, as_: Kind = "pandas") -> Any:
        """What the core computes of a feature set over this history, to the bit: a row for each closed bar, in the core's order.

        Columns: time (the bar's close, UTC), instrument where there are several, and a float64 column for each feature, NaN while it warms
        up. `as_` is "pandas" (needs `tercel[pandas]`), "arrow" or "numpy". Raises `ConfigError` for features that do not fit the history.

        >>> import tercel as tc
        >>> market = tc.SimulatedHistory(seed=7, hours=0.1)
        >>> found = market.values(tc.FeatureSet(tc.bars("1m"), [tc.rsi(3)]), as_="numpy")
        >>> sorted(found), len(found["rsi_3"]) > 0
        (['instrument', 'rsi_3', 'time'], True)
        """
        from tercel.drivers.values import value_columns

        return frame(self._without_one_name(value_columns(self, features)), as_)

    def plot(self: Any, features: FeatureSet | None = None, instrument: str | None = None) -> Figure:
        """The price of one instrument (default: the first) on bars, and its features under it, as a Matplotlib figure; nothing is shown.

        Without features: on bars of a minute, or those that were recorded. Raises `MissingExtra` without `tercel[plots]`.
        """
        from tercel.drivers.plots import history_figure

        return history_figure(self, features, self._one(instrument))

    def _one(self: Any, instrument: str | None) -> int:
        """The slot of an instrument by name or symbol; the first by default."""
        names = [one.name for one in self.instruments]
        if instrument is None:
            return 0
        found = [place for place, one in enumerate(self.instruments) if instrument in (one.name, one.symbol)]
        if len(found) != 1:
            raise ConfigError(f"instrument {instrument!r}: expected one of {', '.join(names)}")
        return found[0]

    def _without_one_name(self: Any, columns: dict[str, Any]) -> dict[str, Any]:
        if len(self.instruments) == 1:
            columns.pop("instrument")
        return columns

    def __repr__(self: Any) -> str:
        return f"<{type(self).__name__}: {self.describe()}>"

    def _repr_html_(self: Source) -> str:
        rows = [
            (one.name, one.asset, one.quote, one.price_decimals, "yes" if self.quoted is None or one.name in self.quoted else "no")
            for one in self.instruments
        ]
        about = f"{self.describe()}; about {self.rows:,} records"
        columns = ("instrument", "asset", "quoted in", "price decimals", "has quotes")
        return html.card(type(self).__name__, about, html.table(columns, rows, left=(0, 1, 2, 4)))
