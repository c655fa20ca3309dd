"""Trials: every set of parameters that was tried, each remembered, so that the best of many is not mistaken for luck's child."""

from __future__ import annotations

import msgspec


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters and what its out-of-sample trades brought."""

    number: int  # from 1
    parameters: dict[str, float]
    trades: int
    sharpe: float  # per trade, over all folds; 0 without two trades
    by_fold: tuple[float, ...]  # the same, fold by fold
    seconds: float
