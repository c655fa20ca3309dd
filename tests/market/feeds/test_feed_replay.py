"""Replaying history: what the catalog holds comes once, in order of arrival, at the pace asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.base.records import BAR, BAR_VIEW, LAST, QUOTE, TRADE, Records, empty
from tercel.base.time import NS_PER_MIN, NS_PER_MS, NS_PER_S, parse_instant
from tercel.market.catalog import Catalog
from tercel.market.definitions import definition
from tercel.market.feeds.base import UNLIMITED, Feed, Pace
from tercel.market.feeds.replay import Replay
from tercel.market.feeds.simulated_symbols import default_symbols
from tercel.market.feeds.simulator import LATENCY_NS, Simulator
from tercel.market.instruments import Instrument


def instrument(symbol: str, number: int) -> Instrument:
    """A built-in instrument at one venue, registered under a number."""
    found = definition(symbol, "oanda")
    assert found is not None
    return msgspec.structs.replace(found, id=number)


EURUSD, XAUUSD = instrument("EURUSD", 7), instrument("XAUUSD", 3)


CODES = {"quote": QUOTE, "trade": TRADE}


class Listed:
    """A history in memory: quotes every 10, trades every 25 time units, in chunks of three rows."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, int]] = []

    def records(
        self, instrument: Instrument, kind: str, start_ns: int, end_ns: int, interval_ns: int | None = None, basis: str | None = None
    ) -> Iterator[Records]:
        """See `tercel.market.feeds.replay.History`."""
        self.asked.append((instrument.name, kind, start_ns, end_ns))
        times = np.arange(start_ns, end_ns, 10 if kind == "quote" else 25)
        rows = empty(len(times))
        rows["ts_event"], rows["instrument"], rows["kind"], rows["ref"] = times, instrument.id, CODES[kind], np.arange(len(times))
        return (rows[start : start + 3] for start in range(0, len(rows), 3))


class Recorded:
    """The quotes of one Parquet file in the layout of the test data, as a catalog would give them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(
        self, instrument: Instrument, kind: str, start_ns: int, end_ns: int, interval_ns: int | None = None, basis: str | None = None
    ) -> Iterator[Records]:
        """See `tercel.market.feeds.replay.History`."""
        assert kind == "quote"
        table = pq.read_table(
            self._path, filters=[("symbol", "==", instrument.symbol), ("ts_event", ">=", start_ns), ("ts_event", "<", end_ns)]
        )
        rows = empty(len(table))
        rows["kind"], rows["flags"], rows["instrument"] = QUOTE, LAST, instrument.id
        for field, column in (("ts_event", "ts_event"), ("price", "bid"), ("price2", "ask")):
            rows[field] = table[column].to_numpy()
        for field in ("size", "size2"):
            rows[field] = np.nan
        for start in range(0, len(rows), 1_000):
            yield rows[start : start + 1_000]


def whole(feed: Feed, limit: int = 1_000_000) -> Records:
    """Everything the feed still has, as fast as possible."""
    parts = [empty(0)]
    while not feed.done:
        parts.append(feed.poll(0, limit))
    return np.concatenate(parts)


def replay(pace: Pace = UNLIMITED) -> Replay:
    """Two instruments, quotes and trades, 100 time units."""
    return Replay(Listed(), [EURUSD, XAUUSD], ["trade", "quote", "quote"], start_ns=1_000, end_ns=1_100, latency_ns=5, pace=pace)


def test_rows_come_in_order_of_arrival_then_instrument_then_kind() -> None:
    """Equal arrivals are settled by the instrument's id, then quotes before trades; nothing is asked for twice."""
    history = Listed()
    feed = Replay(history, [EURUSD, XAUUSD], ["trade", "quote"], start_ns=1_000, end_ns=1_100, latency_ns=5, pace=UNLIMITED)
    rows = whole(feed)
    keys = list(zip(rows["ts_recv"].tolist(), rows["instrument"].tolist(), rows["kind"].tolist(), strict=True))
    assert keys == sorted(keys)
    assert len(keys) == 2 * (10 + 4)
    assert keys[:4] == [(1_005, 3, QUOTE), (1_005, 3, TRADE), (1_005, 7, QUOTE), (1_005, 7, TRADE)]
    assert history.asked == [(name, kind, 1_000, 1_100) for name in ("XAUUSD@oanda", "EURUSD@oanda") for kind in ("quote", "trade")]
    assert feed.instruments == (XAUUSD, EURUSD)


@given(position=st.integers(0, 30), before=st.integers(0, 30), limit=st.integers(1, 9))
def test_a_restart_goes_on_as_if_nothing_had_happened(position: int, before: int, limit: int) -> None:
    """After a seek, forward or back, the rest is the same to the bit."""
    rows = whole(replay())
    feed = replay()
    feed.poll(0, before)
    feed.seek(position)
    assert whole(feed, limit).tobytes() == rows[position:].tobytes()
    assert feed.position == max(position, len(rows))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kinds": ["timer"]}, "kind: expected one of quote, trade"),
        ({"kinds": []}, "at least one instrument and one kind"),
        ({"instruments": []}, "at least one instrument and one kind"),
        ({"end_ns": 1_000}, "a start before the end"),
        ({"latency_ns": -1}, "latency_ns"),
    ],
)
def test_what_cannot_be_replayed_is_refused(change: dict[str, object], text: str) -> None:
    """The operator learns what was expected before anything is read."""
    settings: dict[str, object] = {"instruments": [EURUSD], "kinds": ["quote"], "start_ns": 1_000, "end_ns": 1_100, "latency_ns": 0}
    with pytest.raises(ConfigError, match=text):
        Replay(Listed(), **{**settings, **change})  # type: ignore[arg-type]


def test_the_payrolls_minute_replays_as_recorded(data_dir: Path) -> None:
    """Two real instruments come complete, merged by arrival, each in its own order, and a paced replay gives the same records."""
    start_ns = parse_instant("2014-05-02T12:29:30")
    end_ns = start_ns + 60 * NS_PER_S
    history = Recorded(data_dir / "quotes" / "fx_oanda_tick_201405.parquet")
    feed = Replay(history, [EURUSD, XAUUSD], start_ns=start_ns, end_ns=end_ns, latency_ns=NS_PER_MS, pace=Pace(10.0))
    now_ns, parts = 0, []
    while (due_ns := feed.next_due_ns(now_ns)) is not None:
        now_ns = due_ns
        rows = feed.poll(now_ns, 100)
        assert len(rows)
        parts.append(rows)
    rows = np.concatenate(parts)
    recorded = [np.concatenate(list(history.records(one, "quote", start_ns, end_ns))) for one in (XAUUSD, EURUSD)]
    assert min(len(one) for one in recorded) > 50
    assert len(rows) == sum(len(one) for one in recorded)
    assert (np.diff(rows["ts_recv"]) >= 0).all()
    assert (rows["ts_recv"] == rows["ts_event"] + NS_PER_MS).all()
    for one in recorded:
        mine = rows[rows["instrument"] == one["instrument"][0]]
        assert mine["price"].tobytes() == one["price"].tobytes()
        assert mine["ts_event"].tobytes() == one["ts_event"].tobytes()
    span_ns = int(rows["ts_recv"][-1] - rows["ts_recv"][0])
    assert now_ns == -(-span_ns // 10)


def test_a_simulated_history_replays_from_the_catalog_as_it_was_simulated(home: Path) -> None:
    """Written per instrument and kind, read back and merged: the same records in the same order, to the bit."""
    catalog, start_ns = Catalog(home / "catalog"), parse_instant("2024-05-14T23:58")
    symbols = [msgspec.structs.replace(one, instrument=catalog.register(one.instrument)) for one in default_symbols()]
    feed = Simulator(symbols, seed=8, start_ns=start_ns, duration_ns=4 * NS_PER_MIN, pace=UNLIMITED)
    rows = np.concatenate(list(feed.records(start_ns, start_ns + 4 * NS_PER_MIN)))
    for instrument in feed.instruments:
        for kind, code in CODES.items():
            catalog.add(instrument, kind, rows[(rows["instrument"] == instrument.id) & (rows["kind"] == code)])
    period = {"start_ns": start_ns, "end_ns": start_ns + 4 * NS_PER_MIN}
    again = whole(Replay(catalog, feed.instruments, ["quote", "trade"], **period, latency_ns=LATENCY_NS, pace=UNLIMITED))
    assert again.tobytes() == rows.tobytes()
    with pytest.raises(ConfigError, match="expected one series of bar"):
        Replay(catalog, feed.instruments, ["bar"], **period, latency_ns=0)


class Barred:
    """Two bars a minute apart and three quotes, as the catalog gives them: bars in their own view of the record, read-only."""

    def records(
        self, instrument: Instrument, kind: str, start_ns: int, end_ns: int, interval_ns: int | None = None, basis: str | None = None
    ) -> Iterator[Records]:
        """See `tercel.market.feeds.replay.History`; only bars are asked for by interval and basis."""
        assert (interval_ns, basis) == ((NS_PER_MIN, "mid") if kind == "bar" else (None, None))
        rows = np.zeros(2, BAR_VIEW) if kind == "bar" else empty(3)
        rows["instrument"] = instrument.id
        if kind == "bar":
            rows["kind"], rows["close"], rows["ts_event"] = BAR, [1.2, 1.3], [start_ns, start_ns + NS_PER_MIN]
            rows["ts_recv"] = rows["ts_event"] + NS_PER_MIN
        else:
            rows["kind"], rows["ts_event"] = QUOTE, [start_ns, start_ns + NS_PER_MIN - 1, start_ns + NS_PER_MIN + 1]
        rows.flags.writeable = False
        return iter([rows])


def test_bars_replay_beside_ticks() -> None:
    """A bar keeps its numbers and comes one latency after its close, behind every quote of its minute."""
    feed = Replay(
        Barred(), [EURUSD], ["bar", "quote"], start_ns=NS_PER_S, end_ns=NS_PER_S + 5 * NS_PER_MIN, latency_ns=7, interval_ns=NS_PER_MIN,
        basis="mid", pace=UNLIMITED,
    )  # fmt: skip
    rows = whole(feed)
    assert rows["kind"].tolist() == [QUOTE, QUOTE, BAR, QUOTE, BAR]
    closed = rows[rows["kind"] == BAR]
    assert (closed["ts_recv"] == closed["ts_event"] + NS_PER_MIN + 7).all()
    assert closed.view(BAR_VIEW)["close"].tolist() == [1.2, 1.3]
