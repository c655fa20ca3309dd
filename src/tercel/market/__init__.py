"""market owns what is traded and what was recorded of it: instruments, the catalog of history, its importers, and feeds that replay it.

It never changes a recorded value, never mixes two venues, and never knows a strategy, an order or an account.

Start in `instruments` (one name, one definition), then `catalog` (reading history) and `importers` (how files come in). Behind the
catalog: `manifest` (the one file that says what exists), `partitions` (Parquet), `mapped` (the fast copy), `writer`, `sealing`, `spill` and
`merge` (how rows are added), `quality` and `sessions` (what is missing or odd in a recording), `check` (is it still what was imported).
"""
