"""Numbers that people write become integers exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tercel.base.written import DIGITS_MAX, whole_units


@pytest.mark.parametrize(
    ("text", "scale", "expected"),
    [
        ("0.1", 100_000, 10_000), ("1.08412", 10**5, 108_412), ("-2", 10, -20), ("0", 7, 0), ("0E+999999", 7, 0), ("1e2", 1, 100),
        ("0.30000000000000004", 10**17, 30_000_000_000_000_004), ("0.000001", 100_000, None), ("nan", 1, None), ("-inf", 1, None),
        ("1e999999999", 1, None), ("1e-999999999", 10**9, None), (f"1e{DIGITS_MAX}", 1, 10**DIGITS_MAX), ("1" * 81, 1, None),
    ],
)  # fmt: skip
def test_a_number_is_taken_to_the_digit(text: str, scale: int, expected: int | None) -> None:
    """Never rounded, never long: what is no integer after scaling is none."""
    assert whole_units(Decimal(text), scale) == expected
