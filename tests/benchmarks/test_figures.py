"""Each benchmark with tiny inputs, our side alone: the JSON is whole and the result does not change from run to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import features, forest
from benchmarks.harness import Options
from benchmarks.peers.quotes import Rule, bids
from tests.features.engines import node_command

ROOT = Path(__file__).resolve().parents[2]
TINY = Options(quick=True, peers=False, rows_max=3_000)


def read(name: str, options: Options = TINY) -> list[dict[str, Any]]:
    """The figures as a reader of the JSON sees them."""
    return [json.loads(msgspec.json.encode(item)) for item in command.measure(name, options)]


@pytest.mark.parametrize("name", ["features", "forest", "frames", "backtest", "browser", "socket"])
def test_a_figure_has_a_value_a_command_and_a_stable_result(name: str) -> None:
    """Two runs give the same result hash; the headline comes last and bears the benchmark's name."""
    if name == "browser":
        node_command()
    first, second = read(name), read(name)
    assert first[-1]["name"] == name
    assert all(item["name"].startswith(f"{name}.") for item in first[:-1])
    for item, again in zip(first, second, strict=True):
        assert item["value"] > 0
        assert item["peer_value"] is None
        assert item["ratio"] is None
        assert item["rows"] > 0
        assert item["leaves_out"]
        assert item["command"].startswith("python -m benchmarks")
        assert len(item["result_hash"]) == 16
        assert item["result_hash"] == again["result_hash"]


def test_every_fill_of_ours_is_the_judges() -> None:
    """The back-test that is timed trades exactly as the rule's definition says."""
    (row,) = read("backtest")[-1]["table"]
    assert row["verdict"] == "as judged"
    assert row["fills"] > 5


def test_every_intent_of_ours_is_the_rules() -> None:
    """What came over the socket caused exactly the orders of the rule in plain Python, each durable after it was written and sent."""
    headline = command.measure("socket", TINY)[-1]
    (answer,) = headline.raw["tercel"]
    rule = Rule()
    causes = [number for number, bid in enumerate(bids(headline.rows)) if rule.turns((bid + (bid + 0.01)) / 2.0)]
    assert len(causes) > 10
    assert answer["causes"] == causes
    assert 0.0 < answer["p50_unsynced_us"] < answer["p50_us"] <= answer["p99_us"]


def test_single_rows_score_as_the_batch() -> None:
    """Every row of the table but the clock's says so."""
    table = read("forest")[-1]["table"]
    assert {row["door"] for row in table} == {"tercel one", "clock alone", "tercel predict", "tercel predict, 2 threads"}
    assert {row.get("scores") for row in table if row["door"] != "clock alone"} == {"single rows are the batch"}


def test_who_is_asked_for_which_shape(tmp_path: Path) -> None:
    """Everybody for the first; compilers up to 500 trees, the others for all; in a quick look only LightGBM for more than one."""
    shapes = [forest.MAIN, *forest.TREES]
    jobs = [{"name": shape.name, "trees": shape.trees} for shape in shapes]
    counts = {name: (len(forest.asked(name, jobs, False)), len(forest.asked(name, jobs, True))) for name in forest.PEERS}
    assert counts == {"lightgbm": (6, 6), "xgboost": (6, 1), "onnxruntime": (6, 1), "tl2cgen": (4, 1), "lleaves": (4, 1)}


def test_what_is_said_of_scores_is_measured() -> None:
    """Equal to the bit is said of equal bits only; otherwise how far they are apart, and how often by more than rounding."""
    mine = np.array([1.0, 2.0, 3.0, 0.0])
    assert forest.verdict(mine, mine.copy(), "lightgbm") == "equal to the bit"
    assert (
        forest.verdict(mine, mine + np.array([0.0, 1e-9, 0.25, 0.0]), "other") == "differ by 2.5e-01 at most, by more than 1e-6 in 1 of 4"
    )
    assert forest.verdict(mine, np.array([1.0, 2.0, 3.0, -0.0]), "other").startswith("differ by 0.0e+00")
    assert forest.verdict(mine, None, "other") == forest.verdict(mine, mine[:2], "other") == "not compared"


def test_a_set_in_one_call_has_the_values_of_its_features_alone() -> None:
    """EMA, SMA and RSI are the same numbers alone, in one call and from the batch door over the same rows."""
    from benchmarks import data, ours

    walk = data.random_walk(1_000).rows
    with data.saved((walk["bid"] + walk["ask"]) / 2.0) as path:
        sets = {"core": features.CORE}
        job = {"input": str(path), "warm": 400, "updates": 600, "names": features.CORE, "batch": features.CORE, "sets": sets}
        with ours.features(job) as engine:
            answer = engine.repeat()
    alone = [answer["tercel"][name]["last"][0] for name in features.CORE]
    assert answer["tercel in one call"]["core"]["last"] == alone
    assert answer["tercel batch"]["core"]["last"] == alone


def test_the_command_prints_the_headline_last() -> None:
    """`python -m benchmarks features --quick --json` ends with one JSON object of that name."""
    options = ["features", "--quick", "--json", "--no-peers", "--rows", "2000"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options], cwd=ROOT, env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1])["name"] == "features"


def test_an_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the pen does not run nothing silently."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", "fetures"])
    with pytest.raises(SystemExit):
        command.main()
    assert "backtest" in capsys.readouterr().err


def test_every_engine_of_the_page_gives_the_bits_of_the_server() -> None:
    """The table of the browser's figure compares the results of Node, wasmtime and the server, to the bit."""
    node_command()
    headline = command.measure("browser", Options(quick=True, rows_max=3_000))[-1]
    assert headline.errors == []
    assert headline.peer_value is not None
    assert {row["bits"] for row in headline.table} == {"equal"}
    assert all({"node", "server", "wasmtime"} < set(row) for row in headline.table)
