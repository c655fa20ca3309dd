"""cache owns what costs more to make than to keep: a level in the process, a second one in Redis, and one computation for many misses.

It never holds orders, positions or money: those have one truth, and a cache is a copy. The core never waits for it, a dead Redis costs
nothing but misses, and nothing it reads can carry code. Usable by itself: docs/reference/cache.md.

Start in `cache` (what a user calls), then `level1` (a hit), `s3fifo` (what is kept), `flight` (one computation), `level2` and `tracking`
(Redis). This file imports nothing, so that the core's packages may name the cache without loading a loop or a socket.
"""
