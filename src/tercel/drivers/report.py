"""The report of a back-test in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from tercel.base import html
from tercel.base.text import console, table
from tercel.drivers.result import meaning

if TYPE_CHECKING:
    from tercel.drivers.result import Result

MONEY: Final = ("currency", "net", "realised", "open", "fees", "spread paid", "max drawdown", "turnover")
INSTRUMENTS: Final = ("instrument", "fills", "trades", "won", "net", "fees", "position")
REASONS: Final = ("reason", "times", "meaning")


def show(result: Result, to: Console | None = None) -> None:
    """Print the result for people."""
    out = to or console()
    out.print(f"\n[bold]Back-test[/bold]  {result.title}")
    for note in result.notes:
        out.print(f"[bold]{note}[/bold]" if note.startswith("IN SAMPLE") else note)
    core = result.ticks / result.core_seconds if result.core_seconds else 0.0
    out.print(
        f"{result.ticks:,} ticks in {result.seconds:.2f} s = {result.ticks_per_second:,.0f} ticks/s "
        f"(the core alone {core:,.0f} ticks/s), {result.bars:,} bars"
    )
    out.print(_money(result))
    out.print(_instruments(result))
    if result.bars:
        out.print(_reasons(result))
    else:
        out.print("No bar has closed, so nothing was evaluated: no tick had a price of the wanted kind (--price, --bars).")
    dropped = ", ".join(f"{count:,} {name}" for name, count in result.dropped.items())
    out.print(f"Ticks that changed no bar: {dropped}.  State hash {result.state_hash}")


def cell(result: Result) -> str:
    """The result as HTML for a notebook."""
    about = f"{result.title}; {result.ticks:,} ticks, {result.bars:,} bars, {result.orders:,} orders. {' '.join(result.notes)}"
    reasons = [(name, f"{count:,}", meaning(name)) for name, count in result.reasons.items()]
    return html.card(
        "Back-test",
        about,
        html.table(MONEY, _money_rows(result), title="Profit and loss"),
        html.table(INSTRUMENTS, _instrument_rows(result), title="Instruments"),
        html.table(REASONS, reasons, left=(0, 2), title="Reasons for not trading"),
    )


def _money(result: Result) -> Table:
    return table("Profit and loss", MONEY, _money_rows(result))


def _money_rows(result: Result) -> list[tuple[str, ...]]:
    return [
        (
            one.currency,
            *(f"{number:,.2f}" for number in (one.net, one.realised, one.open, -one.fees, -one.spread_cost, -one.drawdown, one.turnover)),
        )
        for one in result.by_currency
    ]


def _instruments(result: Result) -> Table:
    return table("Instruments", INSTRUMENTS, _instrument_rows(result))


def _instrument_rows(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in result.by_instrument:
        won = f"{one.wins / one.trades:.0%}" if one.trades else "-"
        money = f"{one.net:,.2f} {one.currency}"
        rows.append((one.name, f"{one.fills:,}", f"{one.trades:,}", won, money, f"{one.fees:,.2f}", f"{one.position:,.10g}"))
    return rows


def _reasons(result: Result) -> Table:
    rows = [(reason, f"{count:,}", meaning(reason)) for reason, count in result.reasons.items()]
    return table(f"{result.orders:,} orders sent at {result.bars:,} bars; reasons for not trading", REASONS, rows, left=(0, 2))
