"""opcodes owns the arithmetic: every feature is one function over a block of rows, which serves one tick, a batch and ten years alike.

It never knows what a column means, and an opcode never sees more than its own state, its parameters and its input columns.

    op(S, s, P, p, X, R, r, n)
    S, s   state memory and the offset of this opcode's state; all zeros is the start
    P, p   parameter memory and the offset of this opcode's parameters
    X      the block: columns of float64 in one memory
    R, r   where each column begins in X: first the input columns, then the output columns
    n      rows in this block, at least 1

The functions keep to the subset that the translator understands: float64 and int64 scalars, flat memory, `for`, `while`, `if`, calls of
other kernels by name; no `//`, `%`, `**`, `min`, `max`, no chained comparison, every division guarded. A NaN input yields NaN and does not
advance; only `resample` and `hold`, which make and keep larger bars, have rules of their own. State is O(parameters), work per row is O(1)
(for an extreme in the mean, `rows` steps at most). Rolling sums do not drift: a running sum is replaced by the block's own sum each time
the ring wraps.

An opcode's version rises when its golden vector changes; programs carry the version in their hash. Start in `averages`, then `table`.
"""

from tercel.features.opcodes import averages, moves, oscillators, quotes, ranges, times
from tercel.features.opcodes.table import OPCODES, Opcode

__all__ = ["OPCODES", "Opcode", "averages", "moves", "oscillators", "quotes", "ranges", "times"]
