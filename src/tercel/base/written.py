"""Numbers as people write them, taken to the digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

DIGITS_MAX: Final = 40  # before and behind the point


def whole_units(value: Decimal, scale: int) -> int | None:
    """A number times `scale`, as an integer; None when it is none, or has more digits than any price or size. Never rounds.

    >>> whole_units(Decimal("0.5"), 100_000), whole_units(Decimal("0.000001"), 100_000)
    (50000, None)
    """
    if not value.is_finite() or len(value.as_tuple().digits) > 2 * DIGITS_MAX:
        return None
    if value and not -DIGITS_MAX <= value.adjusted() <= DIGITS_MAX:
        return None
    scaled = Fraction(value) * scale if value else Fraction(0)
    return scaled.numerator if scaled.denominator == 1 else None
