"""Train a model on a simulated market, judge it honestly, trade it where it has never looked, and save the plots.

    python examples/honest_model.py [--hours 6] [--out plots]

The simulated market has hardly anything to be earned, so the honest answer is "no edge"; a pipeline that says otherwise here is wrong.
With data of your own, replace `market` by `tc.history("EURUSD@oanda", "2014-05-01", "2014-05-14")`. The plots need the extra:
`pip install 'tercel[plots]'`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tercel as tc


def main() -> None:
    """Train, judge, back-test out of sample, save the plots."""
    options = argparse.ArgumentParser(description="Train, judge and back-test a model on the simulated market.")
    options.add_argument("--hours", type=float, default=6.0, help="length of the simulated history")
    options.add_argument("--out", type=Path, default=Path("plots"), help="folder for the plots and the report")
    said = options.parse_args()

    market = tc.SimulatedHistory(seed=7, hours=said.hours)
    features = tc.FeatureSet(
        tc.bars("30s"),
        [tc.zscore(20), tc.zscore(60), tc.rsi(14), tc.volume_ratio(60, tc.volatility(10)), tc.every("5m", tc.rsi(14)), tc.imbalance()],
    )

    # A label is what a trade would have earned after spread, fees and latency, ended by a take, a stop or the time.
    trained = tc.train(market, features, labels=tc.triple_barrier(take=1.5, stop=1.0, horizon="10m"), folds=3, register=False)
    print(trained)
    for reason in trained.evaluation.because:
        print(f"  - {reason}")

    # Each stretch is traded by the fold that never saw it; limits as they would be live.
    result = tc.backtest(market, features, trained.model, limits=tc.Limits(position_lots=2, daily_loss={"JPY": 50_000, "": 300}))
    print(result)
    print(*result.notes)
    trades = result.trades(as_="numpy")
    print(f"{len(trades['net'])} round trips, {int((trades['net'] > 0).sum())} of them won")

    said.out.mkdir(parents=True, exist_ok=True)
    trained.plot().savefig(said.out / "training.png")
    result.plot("EURUSD").savefig(said.out / "backtest.png")
    trained.html(said.out / "report.html")
    print(f"plots and report in {said.out}")


if __name__ == "__main__":
    main()
