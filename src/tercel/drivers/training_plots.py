"""The plots of a training report: SVG as text, drawn with the page's own colours, so that they follow its light and dark.

Every function returns one `<svg>` whose `viewBox` is in pixels of a page at its full width; each mark that carries a number has it as a
title, which a browser shows under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, format_instant

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

WIDTH: Final = 1040
HALF: Final = 504
POINTS_MAX: Final = 1_200  # of a curve
STEPS_NS: Final = tuple(
    step * unit
    for unit, steps in (
        (NS_PER_MIN, (1, 2, 5, 10, 20, 30)),
        (NS_PER_H, (1, 2, 3, 6, 12)),
        (NS_PER_DAY, (1, 2, 5, 10, 20, 60, 120, 365)),
    )
    for step in steps
)


class Frame(NamedTuple):
    """Where a plot draws: pixels of its edges and the values they stand for."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at_x(self, value: float) -> float:
        """Pixels from the left."""
        first, last = self.x
        return self.left + (value - first) / ((last - first) or 1.0) * (self.right - self.left)

    def at_y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.y
        return self.bottom - (value - low) / ((high - low) or 1.0) * (self.bottom - self.top)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two: at most about `count`."""
    span = high - low
    if not (math.isfinite(span) and span > 0.0):
        return [low] if math.isfinite(low) else []
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [(first + k) * step for k in range(int((high - first * step) / step + 1e-9) + 1)]


def time_ticks(first: int, last: int, count: int = 7) -> list[tuple[int, str]]:
    """Instants at whole minutes, hours, days or months between two, with their labels."""
    step = next((step for step in STEPS_NS if step * count >= last - first), STEPS_NS[-1])
    found = []
    at = -(-first // step) * step
    while at <= last:
        moment = datetime.fromtimestamp(at // NS_PER_S, UTC)
        if step < NS_PER_DAY:
            label = moment.strftime("%H:%M") if last - first <= NS_PER_DAY else moment.strftime("%-d %b %H:%M")
        else:
            label = moment.strftime("%-d %b") if last - first < 300 * NS_PER_DAY else moment.strftime("%b %Y")
        found.append((at, label))
        at += step
    return found


def equity(times: Integers, values: Reals, bands: Sequence[tuple[str, int, int]], unit: str, digits: int) -> str:
    """A curve that steps at each exit, over bands of the folds; `values` is the sum after each, in `unit`."""
    height = 250
    first = min([band[1] for band in bands] + times[:1].tolist())
    last = max([band[2] for band in bands] + times[-1:].tolist())
    low, high = _room(min(0.0, float(values.min(initial=0.0))), max(0.0, float(values.max(initial=0.0))))
    frame = Frame(58, 26, WIDTH - 14, height - 30, (first, last), (low, high))
    parts = []
    for number, (name, begin, end) in enumerate(bands):
        left, right = frame.at_x(begin), frame.at_x(end)
        shade = "band" if number % 2 == 0 else "band two"
        about = f"{name}: {format_instant(begin, 0)} to {format_instant(end, 0)}"
        parts.append(_rect(shade, left, frame.top, right - left, frame.bottom - frame.top, about))
        parts.append(_text((left + right) / 2, frame.top - 8, name, "label mid"))
    parts += _grid(frame, ticks(low, high, 5), lambda value: f"{value:+.{digits}f}" if value else "0")
    parts += _time_axis(frame)
    parts.append(f'<line class="zero" x1="{frame.left}" x2="{frame.right}" y1="{frame.at_y(0):.1f}" y2="{frame.at_y(0):.1f}"/>')
    if len(times):
        keep = np.unique(np.linspace(0, len(times) - 1, min(len(times), POINTS_MAX)).astype(np.int64))
        path = f"M{frame.at_x(first):.1f} {frame.at_y(0):.1f}"
        for place in keep.tolist():
            path += f"H{frame.at_x(int(times[place])):.1f}V{frame.at_y(float(values[place])):.1f}"
        total = float(values[-1])
        colour = "up" if total >= 0 else "down"
        parts.append(f'<path class="curve {colour}" d="{path}H{frame.right}"/>')
        before = float(values[max(0, int(np.searchsorted(times, last - (last - first) // 12)) - 1)])
        near = frame.at_y(total) + (-8 if total >= before else 18)  # where the curve does not come from
        parts.append(_text(frame.right - 4, near, f"{total:+.{digits}f} {unit}", f"value end {colour}"))
    return _svg(WIDTH, height, f"Net result so far, {unit}", parts)


def timeline(folds: Sequence[tuple[str, Sequence[tuple[str, int, int, int]]]]) -> str:
    """A row for each fold: (name, stretches), a stretch being (train, calibrate or test, first, last, rows)."""
    row, top = 26, 8
    height = top + row * len(folds) + 32
    every = [stretch for _, stretches in folds for stretch in stretches]
    first, last = min(one[1] for one in every), max(one[2] for one in every)
    frame = Frame(58, top, WIDTH - 14, height - 30, (first, last), (0, 1))
    parts = _time_axis(frame)
    for number, (name, stretches) in enumerate(folds):
        y = top + number * row
        parts.append(_text(frame.left - 8, y + 16, name, "label end"))
        for kind, begin, end, rows in stretches:
            left, right = frame.at_x(begin), frame.at_x(end)
            about = f"{name}, {kind}: {rows:,} rows, {format_instant(begin, 0)} to {format_instant(end, 0)}"
            parts.append(_rect(f"stretch {kind}", left, y + 4, max(1.0, right - left - 1), row - 8, about, 3))
    return _svg(WIDTH, height, "What each fold learns from and is tested on", parts)


def calibration(bins: Sequence[tuple[float, float, int]]) -> str:
    """The reliability diagram: (predicted, observed, count) of each bin against the diagonal, the area of a point its count."""
    height = 330
    values = [value for predicted, observed, _ in bins for value in (predicted, observed)]
    low, high = max(0.0, min(values, default=0.0) - 0.06), min(1.0, max(values, default=1.0) + 0.06)
    frame = Frame(66, 14, HALF - 14, height - 44, (low, high), (low, high))
    marks = ticks(low, high, 5)
    parts = _grid(frame, marks, lambda value: f"{value * 100:.0f} %")
    for value in marks:
        parts.append(_text(frame.at_x(value), frame.bottom + 17, f"{value * 100:.0f} %", "tick mid"))
    parts.append(_text((frame.left + frame.right) / 2, height - 6, "predicted", "label mid"))
    parts.append(f'<text class="label mid" transform="translate(11 {(frame.top + frame.bottom) / 2:.1f}) rotate(-90)">observed</text>')
    parts.append(f'<line class="diagonal" x1="{frame.left}" y1="{frame.bottom}" x2="{frame.right}" y2="{frame.top}"/>')
    points = " ".join(f"{frame.at_x(predicted):.1f},{frame.at_y(observed):.1f}" for predicted, observed, _ in bins)
    parts.append(f'<polyline class="curve model" points="{points}"/>')
    most = max((count for _, _, count in bins), default=1)
    for predicted, observed, count in bins:
        error = math.sqrt(max(observed * (1.0 - observed), 1e-9) / count)
        x, y = frame.at_x(predicted), frame.at_y(observed)
        high_y, low_y = frame.at_y(min(high, observed + 2 * error)), frame.at_y(max(low, observed - 2 * error))
        parts.append(f'<line class="error" x1="{x:.1f}" x2="{x:.1f}" y1="{high_y:.1f}" y2="{low_y:.1f}"/>')
        parts.append(
            f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="{2.5 + 3.5 * math.sqrt(count / most):.1f}">'
            f"<title>predicted {predicted:.1%}, observed {observed:.1%}, {count:,} predictions</title></circle>"
        )
    return _svg(HALF, height, "Predicted against observed probability", parts)


def histogram(values: Reals) -> str:
    """How many trades ended where, in widths; what ends below zero and above have their colours, a line marks the mean."""
    height = 330
    low, high = float(values.min(initial=-1.0)), float(values.max(initial=1.0))
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, math.inf) if (high - low) / step <= 36)
    step = step if math.isfinite(step) else (high - low) / 36
    edges = np.arange(math.floor(low / step), math.ceil(high / step) + 1) * step
    counts, _ = np.histogram(values, edges)
    top = float(counts.max(initial=1)) * 1.12
    frame = Frame(52, 14, HALF - 14, height - 44, (float(edges[0]), float(edges[-1])), (0.0, top))
    parts = _grid(frame, [value for value in ticks(0, top, 5) if value == int(value)], lambda value: f"{value:,.0f}")
    for count, begin, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            colour = "up" if (begin + end) / 2 > 0 else "down"
            x, y = frame.at_x(begin), frame.at_y(count)
            about = f"{begin:+.2f} to {end:+.2f} widths: {count:,} trades"
            parts.append(_rect(f"bar {colour}", x + 0.5, y, frame.at_x(end) - x - 1, frame.bottom - y, about))
    for value in ticks(float(edges[0]), float(edges[-1]), 6):
        parts.append(_text(frame.at_x(value), frame.bottom + 17, f"{value:+g}" if abs(value) > 1e-9 else "0", "tick mid"))
    parts.append(_text((frame.left + frame.right) / 2, height - 6, "net outcome of a trade, widths", "label mid"))
    x = frame.at_x(0.0)
    parts.append(f'<line class="zero" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.bottom}"/>')
    if len(values):
        mean = float(np.mean(values))
        x = frame.at_x(mean)
        parts.append(f'<line class="mean" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.bottom}"/>')
        end = x > frame.right - 90
        parts.append(_text(x + (-6 if end else 6), frame.top + 10, f"mean {mean:+.3f}", f"value{' end' if end else ''}"))
    return _svg(HALF, height, "Distribution of the outcomes of trades", parts)


def bars(shares: Sequence[tuple[str, float]]) -> str:
    """A bar for each feature and its share of the gain, largest first."""
    row = 23
    height = row * len(shares) + 8
    left = min(360.0, 24.0 + 6.9 * max((len(name) for name, _ in shares), default=0))
    most = max((share for _, share in shares), default=0.0) or 1.0
    parts = []
    for number, (name, share) in enumerate(shares):
        y = 4 + number * row
        width = share / most * (WIDTH - 76 - left)
        parts.append(_text(left - 10, y + 15, name, "name end"))
        parts.append(_rect("bar model", left, y + 3, max(1.0, width), row - 7, f"{name}: {share:.2%}", 2))
        parts.append(_text(left + width + 8, y + 15, f"{share * 100:.1f} %", "value"))
    return _svg(WIDTH, height, "Share of the gain by feature", parts)


def _room(low: float, high: float) -> tuple[float, float]:
    """A little room around the values; never nothing."""
    span = (high - low) or 1.0
    return (low - 0.16 * span if low < 0 else low), high + 0.16 * span


def _grid(frame: Frame, marks: Sequence[float], label: Callable[[float], str]) -> list[str]:
    parts = []
    for value in marks:
        y = frame.at_y(value)
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(frame.left - 8, y + 4, label(value), "tick end"))
    return parts


def _time_axis(frame: Frame) -> list[str]:
    parts = []
    for at, label in time_ticks(int(frame.x[0]), int(frame.x[1])):
        x = frame.at_x(at)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.bottom}"/>')
        side = "end" if x > frame.right - 24 else "mid"
        parts.append(_text(min(x, frame.right), frame.bottom + 18, label, f"tick {side}"))
    return parts


def _rect(mark: str, x: float, y: float, width: float, height: float, about: str, radius: int = 0) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{max(0.0, height):.1f}" rx="{radius}"'
    return f'<rect class="{mark}" {place}><title>{escape(about)}</title></rect>'


def _text(x: float, y: float, text: str, mark: str) -> str:
    return f'<text class="{mark}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(width: int, height: int, about: str, parts: Sequence[str]) -> str:
    wide = ' class="wide"' if width == WIDTH else ""
    return f'<svg{wide} viewBox="0 0 {width} {height}" role="img" aria-label="{escape(about)}">{"".join(parts)}</svg>'
