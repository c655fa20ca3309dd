"""Predictions on demand are what a back-test computes, to the bit; asked again, or warmed, they cost look-ups alone."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.redis_servers import BINARY, single
from tercel.api.predictions import NEWEST, Forecasts
from tercel.base.errors import ConfigError
from tercel.base.paths import run_dir
from tercel.base.time import NS_PER_MS, NS_PER_S, format_instant, parse_instant
from tercel.cache.warming import FEATURES_EVERY_S, PERIODS, PREDICTIONS_EVERY_S
from tercel.core.market_phase import ROW_CLOSE, ROW_SLOT
from tercel.decision.rules import ModelRule
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import history
from tercel.drivers.launch import FeedSpec, RunSpec
from tercel.drivers.session import Plan
from tercel.models.manifest import FINAL, Calibration
from tercel.models.model import Model
from tercel.models.registry import Registry
from tercel.models.scoring import SCORES
from tercel.observe.stages import DECISION
from tests.api.known import DeskProcess, KnownTrader
from tests.cache.test_cache import Hand
from tests.cache.test_level2 import eventually
from tests.market.history import quote_table, save, take
from tests.models.trained_on_ticks import trained_model
from tests.real_ticks import NAMES, home_at, import_slice

GOLD, EURO = NAMES
END_NS = parse_instant("2014-05-02T00:04")
HOUR = 3_600


def talked(real: Model) -> Model:
    """A model of real forests of which two folds, nobody and the final part speak within the last hundred bars; of gold another part."""
    (part,) = real.manifest.parts

    def one(name: str, slope: float, first_s: int = 0, last_s: int = 0, instrument: str = "") -> Any:
        return msgspec.structs.replace(
            part, name=name, long_calibration=Calibration(slope, 0.1, 1.0, 0.8), test_first_ns=END_NS + first_s * NS_PER_S if last_s else 0,
            test_last_ns=END_NS + last_s * NS_PER_S if last_s else 0, instrument=instrument, seen_last_ns=END_NS - 60 * NS_PER_S,
        )  # fmt: skip

    parts = (one("fold-1", 0.9, -9_000, -300), one("fold-2", 1.1, -200, -100), one(FINAL, 1.3))
    own = msgspec.structs.replace(one(FINAL, 0.5, instrument=GOLD), seen_last_ns=0)
    return Model(msgspec.structs.replace(real.manifest, parts=(*parts, own)), real.contents)


@pytest.fixture(scope="module")
def traded(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, np.ndarray]]:
    """Real ticks over a midnight, a registered model, and what a back-test of both instruments computes: close and scores of each bar."""
    with home_at(tmp_path_factory.mktemp("traded")) as home:
        chosen = import_slice(data_dir, home, "2014-05-01T20:00", "2014-05-02T00:04")
        model = Registry().save(talked(trained_model(chosen, trees=30)))
        found: list[np.ndarray] = []
        run = Backtest(Plan(decide=ModelRule(model)), chosen)
        run.engine._on_rows = lambda rows: found.append(rows.copy())
        run.run()
        rows = np.concatenate(found)
        slots = {one.name: slot for slot, one in enumerate(chosen.instruments)}
        yield {
            name: np.column_stack([rows[:, ROW_CLOSE].astype(float) / 1e6, rows.view(np.float64)[:, -SCORES:]])[rows[:, ROW_SLOT] == slot]
            for name, slot in slots.items()
        }


def with_forecasts(talk: Callable[[Forecasts], Awaitable[None]], clock: Hand | None = None) -> None:
    """Run a conversation, bounded."""

    async def main() -> None:
        async with asyncio.timeout(240), Forecasts(run_dir("nobody"), redis="", **({"clock": clock} if clock else {})) as forecasts:
            await forecasts.models.model("ticks")
            await talk(forecasts)

    asyncio.run(main())


def told(answer: dict[str, Any]) -> list[list[float]]:
    """The rows of an answer in the form of a back-test's."""
    words = ("time_ms", "side", "score", "confidence", "edge")
    return [[one[word] for word in words] for one in answer["predictions"]]


def expected(rows: np.ndarray) -> list[list[float]]:
    """A back-test's rows; side 0 where there is no score."""
    return [[row[0], 0.0 if math.isnan(row[1]) else row[1], *row[2:]] for row in rows.tolist()]


def same(answer: dict[str, Any], rows: np.ndarray) -> bool:
    """Equal to the bit; NaN equals itself."""
    return np.array(told(answer)).tobytes() == np.array(expected(rows)).tobytes()


def test_the_numbers_are_the_back_tests(traded: dict[str, np.ndarray]) -> None:
    """The last hundred bars, fewer, and those before any instant; each by the part that may speak about it, of each instrument."""

    async def talk(forecasts: Forecasts) -> None:
        euro = await forecasts.answer("EURUSD", "ticks")
        assert same(euro, traded[EURO][-100:])
        assert list(dict.fromkeys(one["part"] for one in euro["predictions"])) == ["fold-1", None, "fold-2", FINAL]
        assert (euro["symbol"], euro["model"], euro["bars"], euro["count"]) == (EURO, "ticks@1", "5s", 100)
        gold = await forecasts.answer(GOLD, "ticks@1", 7)
        assert same(gold, traded[GOLD][-7:])
        assert {one["part"] for one in gold["predictions"]} == {FINAL}
        closed_ns = round(traded[EURO][-150, 0]) * NS_PER_MS
        for end_ns in (closed_ns, closed_ns - NS_PER_MS, *(END_NS - before_s * NS_PER_S for before_s in (1, 239, 241, 3_600, 13_000))):
            rows = traded[EURO][traded[EURO][:, 0] <= end_ns / 1e6]
            assert same(await forecasts.answer("EURUSD", "ticks", 100, format_instant(end_ns, 9)), rows[-100:])
        early = await forecasts.answer("EURUSD", "ticks", 100, "2014-05-01T20:02")
        assert same(early, traded[EURO][: early["count"]])
        assert 0 < early["count"] < 25
        assert (await forecasts.answer("EURUSD", "ticks", 100, "2013-01-01"))["predictions"] == []

    with_forecasts(talk)


def test_many_askers_cost_one_and_then_none(traded: dict[str, np.ndarray]) -> None:
    """Thirty at once compute each span once and score once; whoever asks then finds everything; the parts are timed."""

    async def talk(forecasts: Forecasts) -> None:
        answers = await asyncio.gather(*(forecasts.answer("EURUSD", "ticks", 90) for _ in range(30)))
        assert all(same(one, traded[EURO][-90:]) for one in answers)
        made = forecasts.features.counts["computed"], forecasts.predictions.counts["computed"]
        spoken = sum(one["part"] is not None for one in answers[0]["predictions"])
        assert made == (NEWEST, spoken)
        again = await forecasts.answer("EURUSD", "ticks", 90)
        assert same(again, traded[EURO][-90:])
        assert (forecasts.features.counts["computed"], forecasts.predictions.counts["computed"]) == made
        assert set(again["parts_us"]) == {"model_load", "feature_cache", "prediction_cache", "post_processing", "decision"}
        parts = {part.name: part for part in forecasts.parts.views()}
        assert [*parts] == [part.name for part in DECISION]
        assert parts["decision"].count == 31
        assert all(part.count for part in parts.values())
        whole = again["parts_us"].pop("decision")
        assert sum(again["parts_us"].values()) == pytest.approx(whole, rel=0.2)

    with_forecasts(talk)


def test_a_prediction_lives_as_long_as_it_is_sure(traded: dict[str, np.ndarray]) -> None:
    """After 30 s times twice its confidence it is made anew, and is the same; the features live on."""

    async def talk(forecasts: Forecasts) -> None:
        first = await forecasts.answer(GOLD, "ticks", 50)
        clock.now += int(30.1 * NS_PER_S)  # nothing is in level 1 for longer
        before = forecasts.predictions.counts["computed"], forecasts.features.counts["computed"]
        assert told(await forecasts.answer(GOLD, "ticks", 50)) == told(first)
        assert forecasts.predictions.counts["computed"] == before[0] + 50
        assert forecasts.features.counts["computed"] == before[1]

    clock = Hand()
    with_forecasts(talk, clock)


def test_a_warmed_symbol_is_all_hits(traded: dict[str, np.ndarray]) -> None:
    """Rows every five minutes, then what will be said of them every ten, of symbols asked for within the window and of no other."""

    async def talk(forecasts: Forecasts) -> None:
        rows, said = forecasts.warmers
        assert [await warmer.warm_now() for warmer in forecasts.warmers] == [0, 0]
        forecasts.active.saw(f"{GOLD} ticks@1")
        assert await rows.warm_now() == NEWEST
        assert await said.warm_now() == PERIODS
        warm = await forecasts.answer(GOLD, "ticks")
        assert same(warm, traded[GOLD][-100:])
        assert (forecasts.features.level1.misses, forecasts.predictions.level1.misses) == (0, 0)
        assert "fresh_features" not in warm["parts_us"]
        assert "batch_prediction" not in warm["parts_us"]
        await forecasts.answer("EURUSD", "ticks")
        assert forecasts.features.level1.misses > 0
        clock.now += 901 * NS_PER_S
        forecasts.features.level1.clear()
        assert [await warmer.warm_now() for warmer in forecasts.warmers] == [0, 0]

    clock = Hand()
    with_forecasts(talk, clock)


def test_the_schedule_and_the_budget_bound_the_warming(traded: dict[str, np.ndarray]) -> None:
    """Predictions are made again after ten minutes and no sooner; never more at once and in a second than the budget has."""

    async def talk(forecasts: Forecasts) -> None:
        _, said = forecasts.warmers
        assert (FEATURES_EVERY_S, PREDICTIONS_EVERY_S) == (300.0, 600.0)
        await forecasts.answer(GOLD, "ticks")
        said.budget.per_s = 30.0
        clock.now += 31 * NS_PER_S  # the predictions have left
        task = asyncio.create_task(said.run(tick_s=0.001))
        try:
            for step in (30, 60, 90, 100, 100):  # a second's worth for each second of the clock
                assert await eventually(lambda step=step: said.counts["warmed"] >= step)
                await asyncio.sleep(0.1)
                assert said.counts["warmed"] == step
                clock.now += NS_PER_S
            forecasts.active.saw(f"{GOLD} ticks@1")
            clock.now += int((PREDICTIONS_EVERY_S - 6) * NS_PER_S)
            await asyncio.sleep(0.1)
            assert said.counts["warmed"] == 100
            clock.now += 2 * NS_PER_S
            assert await eventually(lambda: said.counts["warmed"] >= 130)
        finally:
            task.cancel()

    clock = Hand()
    with_forecasts(talk, clock)


def test_an_import_is_seen_at_once(home: Path, tmp_path: Path, data_dir: Path) -> None:
    """More quotes of the newest day give other bars, those of a back-test of them, though everything was kept; nothing has to be told."""
    tables = [quote_table(HOUR, END_NS + hour * HOUR * NS_PER_S, seed=hour) for hour in range(2)]
    take(save(tmp_path / "first.parquet", tables[0]), venue="one")
    model = Registry().save(trained_model(history("EURUSD"), trees=10))

    def computed() -> np.ndarray:
        found: list[np.ndarray] = []
        run = Backtest(Plan(decide=ModelRule(model)), history("EURUSD"))
        run.engine._on_rows = lambda rows: found.append(rows.copy())
        run.run()
        rows = np.concatenate(found)
        return np.column_stack([rows[:, ROW_CLOSE].astype(float) / 1e6, rows.view(np.float64)[:, -SCORES:]])

    async def talk(forecasts: Forecasts) -> None:
        assert same(await forecasts.answer("EURUSD", "ticks"), computed()[-100:])
        take(save(tmp_path / "second.parquet", tables[1]), venue="one")
        after = await forecasts.answer("EURUSD", "ticks")
        assert same(after, computed()[-100:])
        assert after["predictions"][-1]["time_ms"] * 1e6 == END_NS + 2 * HOUR * NS_PER_S

    with_forecasts(talk)


def test_desks_share_what_they_made(traded: dict[str, np.ndarray], tmp_path: Path) -> None:
    """With one Redis, what one desk computed another neither plays nor scores; the numbers are the same to the bit."""

    async def main() -> None:
        async with Forecasts(run_dir("one"), server.url) as one, Forecasts(run_dir("other"), server.url) as other:
            for cache in (one.features, one.predictions, other.features, other.predictions):
                assert cache.level2 is not None
                assert await cache.level2.wait_up(5)
            for forecasts in (one, other):
                await forecasts.models.model("ticks")
                assert same(await forecasts.answer(GOLD, "ticks", 40), traded[GOLD][-40:])
                assert one.predictions.level2 is not None
                assert await eventually(lambda: one.predictions.level2.counts["filled"] == 40)  # which is not waited for
            assert (other.features.counts["computed"], other.predictions.counts["computed"]) == (0, 0)
            assert (other.features.counts["level2"], other.predictions.counts["level2"]) == (NEWEST, 40)

    if shutil.which(BINARY) is None:
        pytest.skip(f"needs {BINARY} (Debian: apt-get install redis-server)")
    with single(tmp_path) as server:
        asyncio.run(main())


def test_without_a_name_the_sessions_model_is_asked(traded: dict[str, np.ndarray]) -> None:
    """That of the account's trader, with the timing of its settings; else the one in production of the only name; else the choice."""
    run_folder = run_dir("session")
    run_folder.mkdir(parents=True)

    async def main() -> None:
        async with Forecasts(run_folder, redis="") as forecasts:
            with pytest.raises(ConfigError, match="expected a version in production, found none"):
                await forecasts.answer("EURUSD")
            Registry().stage("ticks", 1, "production")
            assert (await forecasts.answer("EURUSD", None, 3))["model"] == "ticks@1"
            first = Registry().load("ticks")
            second = Registry().save(Model(msgspec.structs.replace(first.manifest, enter=0.5), first.contents))
            settings = run_folder / "tercel.toml"
            settings.write_text('[bars]\ngrace = "5s"\n')
            spec = RunSpec(account="session", feed=FeedSpec(kind="simulator"), model=second.name, settings=str(settings))
            (run_folder / "spec.json").write_bytes(msgspec.json.encode(spec))
            before = forecasts.features.counts["computed"]
            assert (await forecasts.answer("EURUSD", None, 3))["model"] == "ticks@2"
            assert forecasts.features.counts["computed"] > before  # bars that wait longer for late ticks are other bars
            Registry().save(Model(msgspec.structs.replace(second.manifest, name="other"), second.contents))
            (run_folder / "spec.json").unlink()
            with pytest.raises(ConfigError, match=r"expected \?model=NAME.*there are other, ticks"):
                await forecasts.answer("EURUSD")

    asyncio.run(main())


def test_what_cannot_be_answered_is_refused(traded: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Unknown symbols and models by the nearest name, numbers out of range, times that are none."""

    async def talk(forecasts: Forecasts) -> None:
        for arguments, message in (
            (("EURUSX", "ticks"), "did you mean EURUSD"), (("EURUSD", "tick"), "did you mean 'ticks'"),
            (("EURUSD", "ticks", 0), "1 to 100"), (("EURUSD", "ticks", 101), "found 101"), (("EURUSD", "ticks", 5, "soon"), "soon"),
        ):  # fmt: skip
            with pytest.raises(ConfigError, match=message):
                await forecasts.answer(*arguments)

    with_forecasts(talk)


def test_the_desk_answers(trader: KnownTrader, desk: DeskProcess, data_dir: Path, tmp_path: Path) -> None:
    """The address gives the rows with their times, 400 with the reason when it cannot; latency shows the parts."""
    assert desk.get("/api/latency")["predictions"] == []
    take(save(tmp_path / "quotes.parquet", quote_table(HOUR)), venue="oanda")
    Registry().save(trained_model(history("EURUSD@oanda"), trees=10))
    for _ in range(12):  # the first question may have to wait for kernels that nobody has compiled before
        status, _, body = desk.ask("GET", "/api/predictions/EURUSD?model=ticks&periods=20")
        if status != 503:
            break
    answer = msgspec.json.decode(body)
    assert (status, answer["count"], len(answer["predictions"])) == (200, 20, 20), answer
    assert answer["predictions"][-1]["time_ms"] == (parse_instant("2014-05-01") + HOUR * NS_PER_S) / 1e6
    assert {one["side"] for one in answer["predictions"]} <= {1, -1}
    for query, message in (("model=tick", "did you mean 'ticks'"), ("model=ticks&periods=many", "found 'many'"), ("", "in production")):
        status, _, body = desk.ask("GET", f"/api/predictions/EURUSD?{query}")
        assert status == 400
        assert message in msgspec.json.decode(body)["error"]
    parts = {part["name"]: part["count"] for part in desk.get("/api/latency")["predictions"]}
    assert parts["decision"] == parts["model_load"] == 1
