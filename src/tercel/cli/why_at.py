"""`tercel why --at`: what the core saw and decided around an instant, played again from the input log."""

from __future__ import annotations

import re
from typing import Any, Final

from tercel.base.codes import REASONS
from tercel.base.time import NS_PER_DAY, NS_PER_S, date_of, format_instant, parse_instant
from tercel.cli.show import progress
from tercel.cli.why_order import event
from tercel.drivers import reenact

CLOCK_TIME: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


def instant(text: str, newest_ns: int) -> int:
    """Nanoseconds of an ISO time, or of a time of day such as "14:30": the last time it was that, up to the newest input; UTC."""
    if not CLOCK_TIME.fullmatch(text):
        return parse_instant(text)
    found = parse_instant(f"{date_of(newest_ns)}T{text.zfill(8 if text.count(':') == 2 else 5)}")
    return found if found <= newest_ns else found - NS_PER_DAY


def explain(account: str, at: str, name: str | None, quiet: bool) -> dict[str, Any]:
    """The evaluations around an instant as plain values. Raises `ConfigError` when the log does not reach back."""
    log = reenact.log_of(account)
    at_ns = instant(at, log.last_ns)
    with progress(quiet=quiet) as report:
        found = reenact.evaluations(account, log, at_ns, name, report)
    return {"account": account, "at": format_instant(at_ns), "evaluations": [_view(one) for one in found]}


def _view(one: reenact.Evaluation) -> dict[str, Any]:
    size = 10**one.instrument.size_decimals
    reasons = [dict(zip(("reason", "meaning", "remedy"), REASONS[code], strict=True)) for code in one.reasons if code in REASONS]
    return {
        "instrument": one.instrument.name, "time": format_instant(one.time_ns), "input": one.input_number,
        "bar_closed": format_instant(one.closed_ns), "bid": one.bid, "ask": one.ask, "quote_age_s": (one.time_ns - one.quote_ns) / NS_PER_S,
        "quote_lost": one.quote_lost, "features": one.features, "score": one.score, "reasons": reasons,
        "did": [event(each, one.instrument) for each in one.outputs],
        "position": one.position / size, "position_max": one.position_max / size, "order_max": one.order_max / size,
        "halted": one.halted, "rewarm_bars": one.rewarm_rows,
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    """Print it for people."""
    from tercel.base.text import console, table

    out = console()
    lines = [f"account {found['account']} around {found['at']}, played again from its input log"]
    if not found["evaluations"]:
        lines.append("  no bar closed around that instant, so nothing was decided: the market was closed or its data did not come")
    several = len({one["instrument"] for one in found["evaluations"]}) > 1
    for one in found["evaluations"] if not several else ():
        lines += ["", *_lines(one)]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    if several:
        heads = ("decided", "instrument", "bid", "ask", "score", "what came of it", "what helps")
        out.print(table("", heads, [_row(one) for one in found["evaluations"]], left=(0, 1, 5, 6)))
        out.print("with an instrument's name its features, position and limits are shown, too", highlight=False)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    came = [why["reason"] for why in one["reasons"]] + list(dict.fromkeys(did["what"] for did in one["did"]))
    score = f"{one['score']:.6g}" if one["score"] == one["score"] else "-"
    helps = ", ".join(dict.fromkeys(why["remedy"] for why in one["reasons"]))
    bid, ask = ("lost", "lost") if one["quote_lost"] else (f"{one['bid']:.10g}", f"{one['ask']:.10g}")
    return one["time"], one["instrument"], bid, ask, score, ", ".join(came) or "nothing asked for", helps


def _lines(one: dict[str, Any]) -> list[str]:
    lost = ", data lost since" if one["quote_lost"] else ""
    lines = [
        f"{one['instrument']}, bar closed {one['bar_closed']}, decided {one['time']} at input {one['input']:,}",
        f"  quote     {one['bid']:.10g} / {one['ask']:.10g}, {one['quote_age_s']:.1f} s old{lost}",
        "  features  " + ", ".join(f"{name} {value:.6g}" for name, value in one["features"].items()),
    ]
    if one["score"] == one["score"]:
        lines.append(f"  score     {one['score']:.6g}")
    lines += [f"  no order  {why['reason']}: {why['meaning']}; what helps: {why['remedy']}" for why in one["reasons"]]
    for did in one["did"]:
        facts = ", ".join(f"{key} {value:,.10g}" if isinstance(value, float) else f"{key} {value}" for key, value in did.items()
                          if key not in ("what", "time", "input"))  # fmt: skip
        lines.append(f"  did       {did['what']}{f': {facts}' if facts else ''}")
    if not one["reasons"] and not one["did"]:
        lines.append("  no order  nothing was asked for: no rule, model or strategy decides")
    state = ", halted" if one["halted"] else ""
    state += f", {one['rewarm_bars']} bars until entries are allowed again" if one["rewarm_bars"] else ""
    limits = f"position at most {one['position_max']:,.10g}, an order at most {one['order_max']:,.10g}"
    lines.append(f"  account   position {one['position']:,.10g} ({limits}{state})")
    return lines
