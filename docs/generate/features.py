"""The reference of the features: a page and a plot for each.

Formulas and sources stand here; everything else is read from the makers, the opcodes and a simulated market, so that a page cannot say
what the program does not do.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from docs.generate.markup import first_sentence, said, table
from tercel.base.records import Records
from tercel.core.engine import Engine
from tercel.core.market_phase import ROW_CLOSE, ROW_SLOT, ROW_WORDS
from tercel.drivers.history import SimulatedHistory
from tercel.drivers.session import Plan, compile_core
from tercel.features import spec
from tercel.features.opcodes import OPCODES
from tercel.features.program import BASE_COLUMNS
from tercel.features.spec import Feature, FeatureSet, bars

Column = npt.NDArray[np.float64]
SEED, HOURS, EVERY = 7, 5.0, "1m"
LEVEL, OTHER = "in price units", "on a scale of its own"  # drawn over the price, or below it


class Page(NamedTuple):
    """What a page says beyond the program: an example, a formula, where it comes from, and where it is drawn."""

    example: Feature
    code: str
    formula: str
    source: str
    drawn: str = OTHER


MURPHY = "Murphy, Technical Analysis of the Financial Markets, 1999"
WILDER = "Wilder, New Concepts in Technical Trading Systems, 1978"
RETURNS = "Campbell, Lo and MacKinlay, The Econometrics of Financial Markets, 1997, section 1.4"
EXTREMES = "van Herk, A fast algorithm for local minimum and maximum filters, 1992; Gil and Werman, 1993"
PAGES = {
    "sma": Page(spec.sma(20), "tc.sma(20)", "SMA = (x₁ + x₂ + … + xₙ) / n over the last n = rows values", f"{MURPHY}, chapter 9", LEVEL),
    "ema": Page(
        spec.ema(20), "tc.ema(20)", "EMA ← EMA + α (x − EMA), α = 2 / (rows + 1); begun with the mean of the first rows values",
        "Roberts, Control Chart Tests Based on Geometric Moving Averages, Technometrics 1, 1959", LEVEL,
    ),
    "wma": Page(
        spec.wma(20), "tc.wma(20)", "WMA = (1·x₁ + 2·x₂ + … + n·xₙ) / (1 + 2 + … + n), xₙ the newest", f"{MURPHY}, chapter 9", LEVEL,
    ),
    "macd": Page(
        spec.macd(), "tc.macd(12, 26, 9)", "line = EMA(fast) − EMA(slow); signal = EMA of the line; hist = line − signal",
        "Appel, Technical Analysis: Power Tools for Active Investors, 2005",
    ),
    "rsi": Page(
        spec.rsi(14), "tc.rsi(14)", "RSI = 100 · gain / (gain + loss); each average ← average + (change − average) / rows", WILDER,
    ),
    "rsi_simple": Page(
        spec.rsi_simple(14), "tc.rsi_simple(14)", "RSI = 100 · Σ gains / (Σ gains + Σ losses) over the last rows changes",
        f"Cutler's form of Wilder's index: plain sums instead of smoothing ({WILDER})",
    ),
    "stoch_rsi": Page(
        spec.stoch_rsi(), "tc.stoch_rsi(14, 5, 3)", "k = 100 (RSI − lowest) / (highest − lowest) of the last k_rows; d = mean of d_rows k",
        "Chande and Kroll, The New Technical Trader, 1994",
    ),
    "bollinger": Page(
        spec.bollinger(), "tc.bollinger(20, 2.0)", "middle = mean; upper, lower = middle ± deviations · σ, σ² = Σ (x − mean)² / n",
        "Bollinger, Bollinger on Bollinger Bands, 2001", LEVEL,
    ),
    "zscore": Page(
        spec.zscore(20), "tc.zscore(20)", "z = (x − mean) / σ, σ² = Σ (x − mean)² / n over the last n = rows values",
        "The standard score of statistics, over a moving window",
    ),
    "rolling_min": Page(spec.rolling_min(20), "tc.rolling_min(20)", "min(x₁, …, xₙ) over the last n = rows values", EXTREMES, LEVEL),
    "rolling_max": Page(spec.rolling_max(20), "tc.rolling_max(20)", "max(x₁, …, xₙ) over the last n = rows values", EXTREMES, LEVEL),
    "donchian": Page(
        spec.donchian(20), "tc.donchian(20)", "upper = greatest high; lower = smallest low; middle = (upper + lower) / 2",
        f"Donchian's rule of n periods, as in {MURPHY}, chapter 9", LEVEL,
    ),
    "atr": Page(
        spec.atr(14), "tc.atr(14)", "TR = max(high − low, |high − last close|, |low − last close|); ATR ← ATR + (TR − ATR) / rows", WILDER,
    ),
    "volatility": Page(
        spec.volatility(20), "tc.volatility(20)", "σ² = Σ (r − mean)² / (n − 1) of the last n = rows returns r = x / last x − 1",
        "Hull, Options, Futures, and Other Derivatives, on volatility from historical data; simple instead of logarithmic returns",
    ),
    "returns": Page(spec.returns(5), "tc.returns(5)", "r = x / x(rows ago) − 1", RETURNS),
    "log_return": Page(spec.log_return(5), "tc.log_return(5)", "r = ln(x / x(rows ago))", RETURNS),
    "roc": Page(spec.roc(10), "tc.roc(10)", "ROC = 100 (x / x(rows ago) − 1)", f"{MURPHY}, chapter 10; as TA-Lib has it"),
    "lag": Page(spec.lag(15), "tc.lag(15)", "x(rows ago)", "By definition", LEVEL),
    "volume_ratio": Page(
        spec.volume_ratio(20), "tc.volume_ratio(20)", "volume / mean of the last rows volumes, this one included",
        "Relative volume, by definition",
    ),
    "spread": Page(spec.spread(), "tc.spread()", "ask − bid", "Harris, Trading and Exchanges, 2003: the quoted spread"),
    "mid": Page(spec.mid(), "tc.mid()", "(bid + ask) / 2", "Harris, Trading and Exchanges, 2003: the quote midpoint", LEVEL),
    "micro_price": Page(
        spec.micro_price(), "tc.micro_price()", "(bid · ask size + ask · bid size) / (bid size + ask size)",
        "Gatheral and Oomen, Zero-intelligence realized variance estimation, Finance and Stochastics 14, 2010", LEVEL,
    ),
    "imbalance": Page(
        spec.imbalance(), "tc.imbalance()", "(bid size − ask size) / (bid size + ask size)",
        "Cartea, Jaimungal and Penalva, Algorithmic and High-Frequency Trading, 2015",
    ),
    "order_flow": Page(
        spec.order_flow(20), "tc.order_flow(20)",
        "Σ flow / mean((bid size + ask size) / 2) of rows bars; flow = Σ e over the quotes of a bar, "
        "e = [b ≥ b′] q − [b ≤ b′] q′ − [a ≤ a′] p + [a ≥ a′] p′ with bid b of size q, ask a of size p, primes the quote before",
        "Cont, Kukanov and Stoikov, The Price Impact of Order Book Events, Journal of Financial Econometrics 12, 2014",
    ),
    "time_of_day": Page(
        spec.time_of_day(), "tc.time_of_day()", "hours = seconds of the day / 3600; sin and cos of 2π · hours / 24; weekday, Monday 0",
        "Series of sine and cosine: Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 4.3.65 and 4.3.66",
    ),
    "difference": Page(
        spec.difference(spec.ema(5), spec.ema(20)), "tc.difference(tc.ema(5), tc.ema(20))", "left − right", "By definition",
    ),
    "ratio": Page(
        spec.ratio("close", spec.sma(20)), 'tc.ratio("close", tc.sma(20))', "left / right; unknown where right is 0", "By definition",
    ),
    "every": Page(
        spec.every("15m", spec.ema(4)), 'tc.every("15m", tc.ema(4))',
        "the feature over bars of (end − interval, end], held from the row that completes one until the next is complete",
        "Open first, high greatest, low smallest, close and quote last, volume, ticks and flows summed: bars by definition", LEVEL,
    ),
}  # fmt: skip
OPS_OF = {"every": ("resample", "hold")}  # makers that are not called like their opcode


class Market(NamedTuple):
    """Bars of one simulated instrument: their hour, their close and every column of the examples."""

    name: str
    hours: Column
    close: Column
    columns: dict[str, Column]
    memory: dict[str, int]


def simulated() -> Market:
    """Some hours of the simulated market through the same core that trades."""
    features = FeatureSet(bars(EVERY), [page.example for page in PAGES.values()])
    history, plan, made = SimulatedHistory(SEED, HOURS), Plan(features, decide=None), list[npt.NDArray[np.int64]]()
    core = plan.core(history.instruments, history.quoted)
    compile_core(core)
    engine, sequencer = Engine(core, lambda outputs: None, on_rows=lambda rows: made.append(rows.copy())), plan.sequencer(core)

    def push(parts: Sequence[Records]) -> None:
        for part in parts:
            engine.push(part)

    for records in history.stream(plan.feed_latency_ns):
        push(sequencer.push(records))
    push(sequencer.finish())
    rows = np.concatenate(made)
    mine = rows[rows[:, ROW_SLOT] == 0]
    registers = mine[:, ROW_WORDS : ROW_WORDS + core.program.registers].view(np.float64)
    columns = {name: registers[:, place].copy() for place, name in enumerate(core.program.names)}
    hours = mine[:, ROW_CLOSE] / 3.6e12 % 24.0
    memory = {name: FeatureSet(bars(EVERY), [page.example]).compile().memory_rows for name, page in PAGES.items()}
    return Market(history.instruments[0].name, hours, columns["close"], columns, memory)


# Drawing. A line of text a shape; colours are classes, so that the page's light or dark applies.
WIDTH, LEFT, RIGHT, PRICE_TOP, PRICE_HEIGHT, GAP, OWN_HEIGHT = 760.0, 66.0, 26.0, 12.0, 210.0, 26.0, 120.0
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#667}.grid{stroke:#8893a5;stroke-opacity:.22}"
    "polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}.price{stroke:#9aa4b2;stroke-width:1.1}.kp{fill:#7a8594}"
    ".c0{stroke:#2563eb}.c1{stroke:#d9730d}.c2{stroke:#0f9d77}.c3{stroke:#a33ea1}"
    ".k0{fill:#2563eb}.k1{fill:#d9730d}.k2{fill:#0f9d77}.k3{fill:#a33ea1}"
    "@media(prefers-color-scheme:dark){text{fill:#9aa6b8}.c0{stroke:#6ea0ff}.k0{fill:#6ea0ff}.price{stroke:#66707f}}"
)


def number(value: float, step: float) -> str:
    """A number beside an axis whose marks are `step` apart."""
    return f"{value:.{max(0, min(9, int(np.ceil(-np.log10(step)))))}f}" if 1e-7 < step < 1e7 else f"{value:.3g}"


def marks(low: float, high: float) -> list[float]:
    """Round values in a range: steps of 1, 2 or 5, four of them or a few more."""
    raw = (high - low) / 4.0
    unit = 10.0 ** np.floor(np.log10(raw))
    step = unit * next(size for size in (1.0, 2.0, 5.0, 10.0) if unit * size >= raw)
    return [float(value) for value in np.arange(np.ceil(low / step), np.floor(high / step) + 1.0) * step]


def panel(hours: Column, lines: Sequence[tuple[str, Column]], top: float, height: float) -> list[str]:
    """Grid, numbers and lines of one panel; `lines` are (class, values), broken where a value is unknown."""
    known = np.concatenate([values[np.isfinite(values)] for _, values in lines])
    low, high = float(known.min()), float(known.max())
    room = 0.06 * (high - low) or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room
    x = LEFT + (hours - hours[0]) / (hours[-1] - hours[0]) * (WIDTH - LEFT - RIGHT)
    levels = marks(low, high)
    step = levels[1] - levels[0] if len(levels) > 1 else 1.0
    shapes = []
    for level in levels:
        y = top + (high - level) / (high - low) * height
        shapes.append(f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        shapes.append(f'<text x="{LEFT - 8:g}" y="{y + 4:.1f}" text-anchor="end">{number(level, step)}</text>')
    for kind, values in lines:
        y_of = top + (high - values) / (high - low) * height
        run: list[str] = []
        for place in range(len(values) + 1):
            if place < len(values) and np.isfinite(values[place]):
                run.append(f"{x[place]:.1f},{y_of[place]:.1f}")
            elif run:
                shapes.append(f'<polyline class="{kind}" points="{" ".join(run)}"/>')
                run = []
    return shapes


def plot(market: Market, name: str) -> str:
    """The plot of one maker as SVG."""
    page = PAGES[name]
    lines = [(f"c{place}", market.columns[column]) for place, column in enumerate(page.example.names)]
    over = lines if page.drawn == LEVEL else []
    shapes, bottom = panel(market.hours, [("price", market.close), *over], PRICE_TOP, PRICE_HEIGHT), PRICE_TOP + PRICE_HEIGHT
    if page.drawn == OTHER:
        # Outputs of very different size, such as hours and a sine, have panels of their own.
        groups: list[list[tuple[str, Column]]] = []
        for line in lines:
            size = float(np.nanmax(np.abs(line[1])))
            if groups and 0.1 < size / float(np.nanmax(np.abs(groups[-1][0][1]))) < 10.0:
                groups[-1].append(line)
            else:
                groups.append([line])
        for group in groups:
            shapes += panel(market.hours, group, bottom + GAP, OWN_HEIGHT if len(groups) == 1 else OWN_HEIGHT * 0.75)
            bottom += GAP + (OWN_HEIGHT if len(groups) == 1 else OWN_HEIGHT * 0.75)
    for hour in np.arange(np.ceil(market.hours[0]), np.floor(market.hours[-1]) + 1.0):
        x = LEFT + (hour - market.hours[0]) / (market.hours[-1] - market.hours[0]) * (WIDTH - LEFT - RIGHT)
        shapes.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{PRICE_TOP:g}" y2="{bottom:g}"/>')
        shapes.append(f'<text x="{x:.1f}" y="{bottom + 18:g}" text-anchor="middle">{int(hour):02d}:00</text>')
    x = LEFT
    for kind, label in [("kp", "close"), *((f"k{place}", column) for place, column in enumerate(page.example.names))]:
        shapes.append(f'<text class="{kind}" x="{x:g}" y="{bottom + 38:g}" style="font-weight:600">— {html.escape(label)}</text>')
        x += 30.0 + 6.6 * len(label)
    size = f"{WIDTH:g} {bottom + 48:g}"
    title = f"<title>{html.escape(page.code)} on {EVERY} bars of {market.name}, simulated</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img"><style>{STYLE}</style>{title}{"".join(shapes)}</svg>\n'


def page_of(market: Market, name: str) -> str:
    """The page of one maker."""
    page, maker = PAGES[name], getattr(spec, name)
    ops = [OPCODES[op] for op in OPS_OF.get(name, (name,))]
    first = {column: int(np.isfinite(market.columns[column]).argmax()) + 1 for column in page.example.names}
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(maker)))
    reads = [one if isinstance(one, str) else one.name for one in page.example.of]
    more = " beside that of the feature itself" if name in OPS_OF else ""
    rows = {
        "Inputs": "any feature or column" if name in OPS_OF else ", ".join(f"`{one}`" for one in reads),
        "Parameters": ", ".join(f"`{one}`" for op in ops for one in op.parameters) or "none",
        "Columns": "<br>".join(f"`{column}`, known from row {row} here" for column, row in first.items()),
        "Memory": f"after {market.memory[name]} rows nothing before them matters",
        "State": f"{8 * sum(op.state_words(page.example.parameters) for op in ops)} bytes an instrument{more}",
        "Opcode": ", ".join(f"`{op.name}`, number {op.number}, version {op.version}" for op in ops),
    }
    details = "\n\n".join(said(op.entry.function) for op in ops)
    return "\n".join([
        f"# {name}\n\n{said(maker)}\n",
        f"![{page.code} beside the price]({name}.svg)\n",
        f"*`{page.code}` on {EVERY} bars of {market.name}, a simulated market (seed {SEED})*\n",
        f'## Formula\n\n<p class="formula">{html.escape(page.formula)}</p>\n',
        f'<p class="source">{html.escape(page.source)}</p>\n',
        f'## Use\n\n```python\nimport tercel as tc\n\nfeatures = tc.FeatureSet(tc.bars("{EVERY}"), [{page.code}])\n```\n',
        f"```text\n{name}{signature}\n```\n",
        table(("", ""), rows.items()),
        f"## How it is computed\n\n{details}\n",
    ])  # fmt: skip


def page() -> str:
    """The gallery: every maker with its plot and its first sentence, and the columns there are."""
    cards = "".join(
        f'<a class="card" href="features/{name}.md"><img src="features/{name}.svg" alt="" loading="lazy">'
        f"<b>{name}</b><span>{html.escape(first_sentence(getattr(spec, name)).replace('`', ''))}</span></a>"
        for name in PAGES
    )
    columns = ", ".join(f"`{column}`" for column in BASE_COLUMNS)
    return f'There are {len(PAGES)} of them. The columns of a bar: {columns}.\n\n<div class="cards">{cards}</div>\n'


def write(folder: Path) -> list[Path]:
    """Write a page and a plot for every maker into `folder`; returns the pages."""
    market = simulated()
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (folder / f"{name}.svg").write_text(plot(market, name))
        (folder / f"{name}.md").write_text(page_of(market, name))
    return [folder / f"{name}.md" for name in PAGES]
