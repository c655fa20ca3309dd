"""Our own side of every benchmark, through the public face wherever there is one; the files beside this one know nothing of Tercel."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.data import PRICE_DECIMALS, Quotes
from benchmarks.harness import Answer, InProcess, NotMeasurable
from benchmarks.peers.worker import Doors, digest, forests, timed
from benchmarks.rule import Fill, Rule

LOT_UNITS = 100_000  # of EURUSD
START_USD = 10_000_000.0  # what the other engines' accounts begin with; ours begins with nothing and shows the difference
FEED_LATENCY_NS = 1_000_000  # the default delay of recordings without arrival times; it moves every time alike
Step = Callable[[list[float]], tuple[float, ...]]
Single = dict[str, tuple[Callable[[Any], Any], list[Any]]]


def feature_set(names: tuple[str, ...]) -> Any:
    """The set of features called `names`, such as "ema_20", at every tick of the mid."""
    import tercel as tc

    kinds = {"ema": tc.ema, "sma": tc.sma, "rsi": tc.rsi, "returns": tc.returns, "volatility": tc.volatility}
    parts = [name.split("_") for name in names]
    return tc.FeatureSet(tc.bars("1t", price="mid"), [kinds[op](int(rows)) for op, rows in parts])


def stepper(names: tuple[str, ...], warm: npt.NDArray[np.float64]) -> Step:
    """A loop that enters the compiled program once per price and takes every feature of the set."""
    from tercel.features.stream import FeatureStream

    update = FeatureStream(feature_set(names).compile()).update

    def step(prices: list[float]) -> tuple[float, ...]:
        values: tuple[float, ...] = ()
        for price in prices:
            values = update(price)
        return values

    step(warm.tolist())
    return step


@contextlib.contextmanager
def features(options: dict[str, Any]) -> Iterator[InProcess]:
    """One-by-one updates of single features and of whole sets in one call, and the batch door over the whole input."""
    from tercel.features.program import BASE_COLUMNS

    prices = np.load(options["input"])
    warm, later = prices[: options["warm"]], prices[options["warm"] : options["warm"] + options["updates"]].tolist()
    singles = tuple((name,) for name in options["names"])
    sets = {label: tuple(names) for label, names in options["sets"].items()}
    base = np.full((len(BASE_COLUMNS), len(prices)), np.nan)
    base[3] = prices

    def updates(names: tuple[str, ...]) -> dict[str, Any]:
        measured = timed(partial(stepper(names, warm), later))
        return {"ns": measured.seconds / len(later) * 1e9, "last": list(measured.result)}

    def batch(names: tuple[str, ...]) -> dict[str, Any]:
        measured = timed(partial(feature_set(names).compile().compute, base))
        return {"ns": measured.seconds / len(prices) * 1e9, "last": measured.result[:, -1].tolist()}

    def repeat() -> Answer:
        alone = {names[0]: updates(names) for names in singles}
        batched = {name: batch((name,)) for name in options["batch"]} | {label: batch(names) for label, names in sets.items()}
        answer = {"tercel": alone, "tercel in one call": {label: updates(names) for label, names in sets.items()}, "tercel batch": batched}
        return {**answer, "hash": digest(sorted(last_values(answer)))}

    first = timed(repeat)  # compiles, or loads what was compiled
    yield InProcess({"first_run_s": first.seconds}, repeat)


def last_values(answer: Answer) -> Iterator[str]:
    """Every last value to the bit, with the names of its door and its feature."""
    for door, rows in answer.items():
        for name, row in rows.items():
            yield f"{door} {name} {' '.join(value.hex() for value in row['last'])}"


def opened(shape: dict[str, Any]) -> Doors:
    """Single rows through the forest's door, the cost of the clock around them, and whole batches, on one thread and on two."""
    from tercel.models.forest import Forest

    forest, rows = Forest.load(shape["model"]), np.load(shape["input"])
    single = list(rows)[: shape["calls"]]
    more: Single = {}
    if Path(shape["own_model"]).is_file():  # XGBoost's, whose scores are compared with ours for it
        own = Forest.load(shape["own_model"])
        own.predict(rows).tofile(f"{shape['scores']}.tercel-xgboost")
        more = {"tercel one, XGBoost's model": (own.one, single)}
    return Doors(
        single={"tercel one": (forest.one, single), **more, "clock alone": (lambda row: None, single)},
        batch={"tercel predict": partial(forest.predict, rows), "tercel predict, 2 threads": partial(forest.predict, rows, 2)},
        scored=forest.one,
    )


@contextlib.contextmanager
def forest(options: dict[str, Any]) -> Iterator[InProcess]:
    """Every shape through every door."""
    from tercel.base.errors import DataError

    try:
        compiling = timed(partial(forests, "tercel", options["shapes"], opened))
    except DataError as error:
        raise NotMeasurable(str(error)) from error

    def repeat() -> Answer:
        written = [Path(f"{shape['scores']}.tercel").read_bytes() for shape in options["shapes"]]
        return {**compiling.result(), "hash": digest(written)}

    yield InProcess({"first_run_s": compiling.seconds}, repeat)


@contextlib.contextmanager
def backtest(quotes: Quotes, rule: Rule) -> Iterator[InProcess]:
    """The rule over the quotes by `tc.backtest`, from the mapped files of a temporary catalog.

    `seconds` is the run as the result tells it, reading included; `call_seconds` is the whole call, building and report included.
    Not timed: importing the quotes into the catalog, and the first run, which compiles or loads kernels and maps the files.
    """
    import tercel as tc

    with home() as place:
        name, size = "EURUSD@oanda", rule.size / LOT_UNITS
        imported = timed(partial(import_quotes, quotes, place))
        history = tc.history(name, catalog=imported.result)
        decide = tc.EmaCross(rule.fast, rule.slow, volatility_rows=2, enter=0.0, exit=0.0, size_lots=size)
        limits = tc.Limits(position_lots=2 * size, daily_loss=1e9, notional=1e9, quote_age_max="30d", orders_per_second=0)
        venue = tc.VenueModel(latency=f"{rule.latency_ns}ns", taker_fee=0.0, maker_fee=0.0, liquidity_lots=rule.liquidity / LOT_UNITS)
        features = tc.FeatureSet(tc.bars("1t", price="mid"), [])

        def repeat() -> Answer:
            measured = timed(partial(tc.backtest, history, features, decide, limits=limits, venue=venue))
            result = measured.result
            fills = fills_of(result.fills, FEED_LATENCY_NS)
            return {
                "seconds": result.seconds, "call_seconds": measured.seconds, "core_seconds": result.core_seconds,
                "cpu_seconds": measured.cpu_seconds,
                "orders": result.orders, "fills": len(fills), "balance_usd": START_USD + result.by_currency[0].net, "hash": digest(fills),
                "state_hash": result.state_hash, "reasons": dict(result.reasons),
            }  # fmt: skip

        first = repeat()
        yield InProcess({"import_s": imported.seconds, "first_run_s": first["call_seconds"]}, repeat)


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """A temporary TERCEL_HOME that keeps the compiled kernels of the usual one."""
    import tercel.base.kernel  # noqa: F401 - settles where compiled code is kept, before the home moves

    before = os.environ.get("TERCEL_HOME")
    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-", ignore_cleanup_errors=True) as place:
        os.environ["TERCEL_HOME"] = place
        try:
            yield Path(place)
        finally:
            os.environ.pop("TERCEL_HOME")
            if before is not None:
                os.environ["TERCEL_HOME"] = before


def import_quotes(quotes: Quotes, place: Path) -> Any:
    """A catalog in `place` that has the quotes; sizes are unknown, as in the recording."""
    from tercel.base.records import LAST, QUOTE, empty
    from tercel.market.catalog import Catalog
    from tercel.market.definitions import definition

    records = empty(len(quotes.rows))
    records["kind"], records["flags"] = QUOTE, LAST
    records["ts_event"], records["price"], records["price2"] = quotes.rows["ts_ns"], quotes.rows["bid"], quotes.rows["ask"]
    records["size"] = records["size2"] = np.nan
    instrument = definition("EURUSD", "oanda")
    assert instrument is not None
    catalog = Catalog(place / "catalog")
    catalog.add(instrument, "quote", records)
    return catalog


def fills_of(records: npt.NDArray[Any], delay_ns: int) -> list[Fill]:
    """Fills (dtype `OUTPUT`) in the words of the judge; arrival lies `delay_ns` after the quote's own time."""
    rows = zip(*(records[field].tolist() for field in ("time", "side", "price", "size")), strict=True)
    return [(time - delay_ns, side, f"{price / 10**PRICE_DECIMALS:.{PRICE_DECIMALS}f}", str(size)) for time, side, price, size in rows]


STREAM_PATH = "/ws"  # of the desk
SETTINGS = """
features = ["ema_20", "sma_20", "rsi_14", "returns_20", "volatility_20"]
[bars]
every = "1t"
[rule]
enter = 0.5
[risk]
daily_loss = 1e9
orders_per_second = 0
"""
SPEED = 20.0  # the simulated market at twenty times real time: hundreds of ticks a second, a decision on each


def trader_command(place: Path) -> list[str]:
    """How a trader and its desk are started in the home `place`: compiled kernels of the usual home, every tick decided on."""
    from tercel.base.paths import kernel_cache_dir

    kernels = place / "cache" / "kernels"
    kernels.parent.mkdir(parents=True)
    kernel_cache_dir().mkdir(parents=True, exist_ok=True)
    kernels.symlink_to(kernel_cache_dir(), target_is_directory=True)
    settings = place / "settings.toml"
    settings.write_text(SETTINGS)
    return [sys.executable, "-m", "tercel.cli.main", "run", "--speed", f"{SPEED:g}", "--settings", str(settings)]


def live_reader(place: Path) -> Any:
    """What reads the live view of the trader that runs in the home `place`."""
    from tercel.observe.live import LiveReader

    return LiveReader(run_folder(place) / "live.map")


def page_url(place: Path) -> str | None:
    """Where the desk of that trader says its page is; None before it does."""
    try:
        return (run_folder(place) / "desk.url").read_text() or None
    except FileNotFoundError:
        return None


def run_folder(place: Path) -> Path:
    """The run folder of the paper account in a home."""
    return place / "accounts" / "paper" / "run"


BATCH_FRAMES = 100  # what one read of a busy socket brings


@contextlib.contextmanager
def frames(options: dict[str, Any]) -> Iterator[InProcess]:
    """Frames of Binance into records, one by one and in batches; a fresh session each time, its book started by a snapshot."""
    from tercel.market.definitions import definition
    from tercel.market.feeds.binance import Binance

    doors = {name: Path(path).read_bytes().splitlines() for name, path in options["doors"].items()}
    recv_ns = options["recv_ns"]
    instrument = definition("BTCUSDT", "binance")
    assert instrument is not None

    def session() -> Binance:
        made = Binance([instrument])
        body = b'{"lastUpdateId":0,"bids":[["59000","1"]],"asks":[["61000","1"]]}'
        made.snapshot("BTCUSDT", body, recv_ns)
        return made

    def single(decoder: Binance, lines: list[bytes]) -> None:
        take = decoder.frame
        for line in lines:
            take(line, recv_ns)

    def batched(decoder: Binance, lines: list[bytes]) -> None:
        for start in range(0, len(lines), BATCH_FRAMES):
            decoder.frames(lines[start : start + BATCH_FRAMES], recv_ns)

    def rate(way: Callable[[Binance, list[bytes]], None], lines: list[bytes]) -> float:
        decoder = session()
        measured = timed(partial(way, decoder, lines))
        assert sum(decoder.delivered.values()) == len(lines), dict(decoder.dropped)
        return len(lines) / measured.seconds

    def repeat() -> Answer:
        rates = {
            name: {"tercel": rate(single, lines), f"tercel in batches of {BATCH_FRAMES}": rate(batched, lines)}
            for name, lines in doors.items()
        }
        rows = session().frames(doors["mixed"], recv_ns)
        quotes, trades = rows[rows["kind"] == 1], rows[rows["kind"] == 2]
        return {
            "rates": rates, "bid": float(quotes["price"][-1]), "price": float(trades["price"][-1]),
            "hash": digest(row.tolist() for row in rows),
        }  # fmt: skip

    yield InProcess({}, repeat)
