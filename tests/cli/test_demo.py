"""`tercel demo`: the whole job once, on what there is, and it says on what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercel.base import paths
from tercel.base.time import NS_PER_S
from tests.cli.processes import Running, answer, tercel
from tests.market.history import quote_table, save, take

ENDING = "the next demonstration starts anew; `tercel run` has an account that continues"


def demo(*words: str, cwd: Path) -> str:
    """What the demonstration says; it trades on paper for a second."""
    done = tercel("demo", "--for", "1s", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("   ")] == []  # progress only
    for step in (
        "1. history",
        "2. features: ",
        "3. training",
        "4. back-test of the ",
        "5. paper trading",
        "open http://",
        "stopped: ",
        ENDING,
    ):
        assert step in done.stdout
    return done.stdout


def test_without_data_it_simulates_and_says_so(home: Path, tmp_path: Path) -> None:
    """An empty catalog means the simulated market, in the back-test and on paper."""
    said = demo(cwd=tmp_path)
    assert f"the simulated market: no data was given, and your catalog ({paths.catalog_dir()}) has no quotes\n" in said
    assert "EURUSD@sim" in said
    assert "EDGE\n" in said  # or NO EDGE: the verdict of a training that had enough to learn from
    assert "4. back-test of the model, out of sample" in said
    assert "Out of sample: demo@1, 5 folds" in said
    assert "(new), epoch 1, feed simulator" in said


def test_data_is_imported_then_the_catalog_is_used(home: Path, tmp_path: Path) -> None:
    """A file given is imported and nothing else is traded; without one the catalog is used; each demonstration starts anew."""
    take(save(tmp_path / "fxcm.parquet", quote_table(2_000, step_ns=5 * NS_PER_S, symbol="GBPUSD")))
    file = save(tmp_path / "oanda.parquet", quote_table(2_000, step_ns=5 * NS_PER_S))
    said = demo("--data", str(file), cwd=tmp_path)
    assert f"importing {file} into {paths.catalog_dir()}\n" in said
    assert "1 files, 2,000 rows, 2,000 of them new\n" in said
    assert "   EURUSD@oanda quotes; 2014-05-01 00:00:00 to " in said
    assert "(new), epoch 1, feed replay" in said
    said = demo(cwd=tmp_path)
    assert f"your catalog ({paths.catalog_dir()})\n" in said
    assert "GBPUSD@fxcm quotes, EURUSD@oanda quotes" in said
    assert "(new), epoch 1, feed replay" in said


def test_data_without_quotes_is_refused_after_the_import(home: Path, tmp_path: Path) -> None:
    """It does not pretend: nothing simulated is shown for data that it cannot trade."""
    from tests.market.history import START_NS, bar_table

    file = save(tmp_path / "bars.parquet", bar_table([START_NS], [1.5]))
    done = tercel("demo", "--data", str(file), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: demo: expected quotes in {file}, found bars; they are in the catalog: ")


def test_a_halt_outlives_the_demonstration(home: Path, tmp_path: Path) -> None:
    """Only its own account is removed, and of that not the kill flag; a second one beside the first is refused at once."""
    assert tercel("halt", "--account", "demo").returncode == 7
    other = home / "accounts" / "paper" / "journal"
    other.mkdir(parents=True)
    file = save(tmp_path / "oanda.parquet", quote_table(2_000, step_ns=5 * NS_PER_S))  # too little to train on, which takes its time
    with Running("demo", "--data", str(file), cwd=tmp_path) as run:
        run.ready()
        assert "HALTED" in run.out
        assert answer("status")["halted"]
        second = tercel("demo", cwd=tmp_path)
        assert (second.returncode, second.stdout) == (2, "")
        assert "account demo: its trader is running already" in second.stderr
        assert run.end() == 0
    assert other.is_dir()


@pytest.mark.parametrize(("words", "said"), [(("--for", "long"), "duration"), (("--data", "absent.csv"), "no such file")])
def test_a_wrong_argument_is_refused(home: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """One line, status 2, before anything is traded."""
    done = tercel("demo", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
