"""translate owns the way from a kernel to C: the source that Numba compiles for the server becomes C that gives the same bits elsewhere.

It never runs a compiler and never changes what a kernel says: whatever is not in the subset is refused, with its file, line and text and
with what to write instead. Start in `unit` (what a caller asks for), then `statements`, `expressions`, and `subset`, which has the tables.

The subset: float64 and int64 scalars of one type each, flat memory `F` and `I`, assignments, `if`, `while`, `for` over `range(stop)` or
`range(start, stop)`, `a if c else b`, comparisons, `and`, `or`, `not`, + - * /, on integers & | ^ << >>, `abs`, `math.sqrt`, `math.floor`,
`float()` of an integer, `int()` of a float, `bits`, `unbits`, `single`, and calls of other kernels by name.

Not seen by reading, but by the tests that run every opcode on hostile values as plain Python: a division by zero or a root of a negative
number (Python raises), an index out of range (`Checked` refuses). And left to the author: integers stay within 63 bits, `int()` and
`math.floor` get finite values below 2**63.
"""

from tercel.features.translate.subset import NotInSubset
from tercel.features.translate.unit import translate

__all__ = ["NotInSubset", "translate"]
