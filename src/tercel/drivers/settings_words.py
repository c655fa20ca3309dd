"""What each setting means, in a sentence: shown by `tercel new`, `tercel config show` and the reference."""

from __future__ import annotations

from typing import Final

SECTIONS: Final[dict[str, str]] = {
    "": "What decides, and on which columns. Leave `strategy` and `model` out for the built-in rule that [rule] describes.",
    "bars": "Market data becomes bars; features are taken and decisions made when one closes.",
    "rule": "The built-in rule: trade the gap between a fast and a slow moving average when it pays for its costs.",
    "risk": 'What every order must satisfy, in a back-test, on paper and live. A table holds per key, with "" for all others.',
    "venue": "How the modelled venue behaves, in a back-test and on paper alike.",
}

SETTINGS: Final[dict[str, str]] = {
    "strategy": "A strategy written in Python, as module:Class; the working folder is importable.",
    "model": "A trained model, as name, name@version or name@stage.",
    "features": "Columns besides those that the decision needs, such as ema_20, rsi_14 or macd_12_26_9.",
    "bars.every": "Length of a bar: a time (1m), a count of ticks (100t) or a volume (5000v).",
    "bars.price": "What bars are built from: mid, bid, ask or trade.",
    "bars.anchor": "Instant (ISO, UTC) at which the state of features begins, wherever a run starts; empty: the first input.",
    "bars.grace": "How long after its end a bar of time still takes late ticks.",
    "bars.feed_latency": "Delay assumed for recordings that do not say when a tick arrived.",
    "bars.late_after": "Features that take longer are late, and the last good ones are used until they are in time again; 0s: never.",
    "rule.fast": "Bars of the fast average.",
    "rule.slow": "Bars of the slow average.",
    "rule.volatility_rows": "Bars over which the volatility that sizes a position is taken.",
    "rule.enter": "Take a side when the gap exceeds so many times the cost of a round trip.",
    "rule.exit": "Leave it when the gap falls below so many times that cost.",
    "rule.risk_per_bar": "Size a position so that one bar moves it by about this, in the quote currency; by currency.",
    "rule.size_lots": "Trade this size instead, in lots.",
    "risk.order_lots": "Largest order, in lots; by instrument.",
    "risk.position_lots": "Largest position, in lots; by instrument.",
    "risk.notional": "Largest value of an order, in the quote currency; by currency.",
    "risk.collar": "How far the price of a limit order may be from the market, as a share.",
    "risk.quote_age_max": "Oldest quote to trade on.",
    "risk.orders_per_second": "Most orders in a second; 0: no limit.",
    "risk.daily_loss": "Loss of a day, in the quote currency, after which only orders that reduce are sent; by currency.",
    "risk.account_loss": "The same for all currencies together, in account_currency; 0: no limit.",
    "risk.account_currency": "Currency of account_loss.",
    "risk.open_orders": "Most orders open at once.",
    "risk.day_roll": "When a trading day ends: a time and a zone.",
    "venue.latency": "From our decision to the order at the venue.",
    "venue.taker_fee": "Fee for taking liquidity, as a share of the value; by asset class.",
    "venue.maker_fee": "Fee for giving liquidity, as a share of the value; by asset class.",
    "venue.liquidity_lots": "What the best price holds when the data does not say, in lots.",
    "venue.half_spread_steps": "Half the spread assumed where there are trades or bars but no quotes, in price steps.",
}

MODEL_RULE: Final[dict[str, str]] = {
    "rule.enter": "Take a side from this edge on, in widths after costs; left out: the model's own.",
    "rule.risk_per_trade": "Size a position so that its stop loses this, in the quote currency; by currency.",
    "rule.size_lots": "Trade this size instead, in lots.",
    "rule.stale_max": "While features are late, the last good ones serve up to this age.",
}
"""What [rule] has instead when a model decides."""
