"""The peers' environments and processes; what needs the network carries the marker `peers`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import data, forest, ours, peers, socket
from benchmarks.features import CORE, EXTRA
from benchmarks.harness import Options
from benchmarks.peers import Peer, PeerUnavailable, environment
from benchmarks.peers.worker import digest
from benchmarks.rule import NAUTILUS, Rule, judged


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands of an installation, which are only noted."""
    commands: list[tuple[str, ...]] = []
    monkeypatch.setenv("TERCEL_BENCH_DIR", str(tmp_path))
    monkeypatch.setattr(peers, "HERE", tmp_path)
    (tmp_path / "other.txt").write_text("other==1\n")

    def note(peer: str, *command: str) -> None:
        commands.append(command)
        Path(command[-1]).mkdir(exist_ok=True) if "venv" in command else None

    monkeypatch.setattr(peers, "_call", note)
    return commands


def test_an_environment_is_built_once_and_again_when_its_pins_change(built: list[tuple[str, ...]], tmp_path: Path) -> None:
    """The second call finds the first one's environment; other pins get another one."""
    first = environment("other")
    assert environment("other") == first
    assert len(built) == 2
    assert "-r" in built[1]
    (tmp_path / "other.txt").write_text("other==2\n")
    assert environment("other") != first


def test_an_installation_that_fails_says_what_pip_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the peer and the end of the output are in the error, and nothing counts as built."""
    monkeypatch.setenv("TERCEL_BENCH_DIR", str(tmp_path))
    monkeypatch.setattr(peers, "HERE", tmp_path)
    monkeypatch.setattr(peers.sys, "executable", "/bin/false")
    (tmp_path / "other.txt").write_text("other==1\n")
    with pytest.raises(PeerUnavailable, match="other: could not be installed"):
        environment("other")
    assert not list(tmp_path.glob("*/complete"))


def test_a_peer_that_dies_at_its_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that ends before it is ready becomes an error with its name, not a hang."""
    monkeypatch.setattr(peers, "environment", lambda peer: Path("/bin/false"))
    with pytest.raises(PeerUnavailable, match="nautilus: no answer"):
        Peer("nautilus", "backtest", {})


def test_every_peer_is_pinned_without_addresses() -> None:
    """A name and a version on every line, so that any package index serves them."""
    for path in sorted(peers.HERE.glob("*.txt")):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert lines, path
        assert all(line.count("==") == 1 and "://" not in line and "@" not in line for line in lines), path


@pytest.mark.peers
@pytest.mark.timeout(1_500)
def test_a_plain_client_orders_on_the_same_quotes() -> None:
    """Over a socket of its own it decides as ours does: so what is timed is the same job."""
    figure = socket.measure(Options(quick=True))[-1]
    assert figure.errors == []
    assert figure.peer_value is not None
    (mine,), (other,) = figure.raw["tercel"], figure.raw["websockets"]
    assert len(mine["causes"]) > 10
    assert mine["causes"] == other["causes"]


@pytest.mark.peers
@pytest.mark.timeout(1_500)
def test_nautilus_fills_as_the_judge_says() -> None:
    """Another project's engine gives the judge's fills, one for one: so the rule is the same rule on both sides."""
    walk, rule = data.random_walk(3_000), Rule()
    with data.saved(walk.rows) as path, Peer("nautilus", "backtest", {"input": str(path), "rows": 3_000, **rule._asdict()}) as peer:
        answer = peer.repeat()
    expected = judged(rule, walk.rows, NAUTILUS)
    assert len(expected) > 5
    assert answer["hash"] == digest(expected)


@pytest.mark.peers
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("name", ["backtesting_py", "vectorbt"])
def test_other_engines_trade_the_same_flips(name: str) -> None:
    """They trade as often as the judge, but for a last trade that is still open at the end."""
    walk, rule = data.random_walk(3_000), Rule()
    with data.saved(walk.rows) as path, Peer(name, "backtest", {"input": str(path), "rows": 3_000, **rule._asdict()}) as peer:
        answer = peer.repeat()
    assert abs(answer["trades"] - len(judged(rule, walk.rows, NAUTILUS))) <= 1


@pytest.mark.peers
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("name", ["nautilus", "talib", "talipp"])
def test_peers_indicators_have_the_textbook_values(name: str) -> None:
    """SMA 20 of the last prices is their mean, in every library and family."""
    prices = random_prices(1_000)
    job: dict[str, Any] = {"warm": 400, "window": 200, "updates": 600, "names": [*CORE, *EXTRA], "batch": [*CORE]}
    with data.saved(prices) as path, Peer(name, "features", {"input": str(path), **job}) as peer:
        answer = peer.repeat()
    approx = partial(pytest.approx, rel=1e-9)
    assert {family: rows["sma_20"]["last"] for family, rows in answer.items()} == dict.fromkeys(answer, approx(prices[-20:].mean()))


@pytest.mark.peers
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("name", forest.PEERS)
def test_forests_of_peers_score_as_ours(name: str, tmp_path: Path) -> None:
    """The same model, or XGBoost's own: to the bit, but for those that sum in another order or in float32."""
    job = forest.job(tmp_path, forest.Shape(20, 8), 500)
    forest.train([job], Options())
    with ours.forest({"shapes": [job]}), Peer(name, "forest", {"shapes": [job]}) as peer:
        answer = peer.repeat()["shapes"][job["name"]]
    assert answer["batch"]
    assert all(0.0 < p50 <= p99 for p50, p99 in answer["single"].values())
    said = forest.verdict(forest.scores(job, f"tercel-{name}" if name == forest.OWN_MODEL else "tercel"), forest.scores(job, name), name)
    within = {"lleaves": "by more than 1e-6 in 0 of 500", "onnxruntime": "differ by"}.get(name, "equal to the bit")
    assert said == "equal to the bit" or within in said


def random_prices(count: int) -> Any:
    """Mids of the walk."""
    rows = data.random_walk(count).rows
    return (rows["bid"] + rows["ask"]) / 2.0
