"""benchmarks owns every figure that is published: one file per figure, each measured beside a peer in the same run.

It never ships with the package, and it never hides a row that is lost or a peer that could not be installed.
Start reading in `harness` (what a figure is), then `backtest` (one figure from end to end), then `peers` (their environments).
Run `python -m benchmarks list`. This file imports nothing: peers' own interpreters import it too.
"""
