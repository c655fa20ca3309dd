"""drivers owns how the core is pushed: back-test over history, paper over a feed, and the trader process.

They never change what the core computes: the same sequenced inputs give the same outputs under every driver. Start in `backtest`, then
`trader`.
"""
