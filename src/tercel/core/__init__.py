"""core owns the deterministic state machine: sequencer, market phase, account phase, their state, snapshot and hash.

It never reads a clock, never does I/O, never draws chance, and nothing reachable from it imports asyncio, sockets, pyarrow or lightgbm.
Start in `engine` (what a driver pushes), then `sequencer`, `market_phase`, `account_phase`.
"""
