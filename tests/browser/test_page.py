"""The page shows exactly what the live view holds, says what is stale, and stops trading with one press."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tercel.base.records import HALT, RESUME
from tercel.base.time import NS_PER_S, wall_ns
from tercel.observe.stages import TOTAL
from tests.api.known import DeskProcess, KnownTrader

pytestmark = pytest.mark.browser

PIXELS = """() => {
  const canvas = document.getElementById('chart');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return [...seen];
}"""
RISING, BOUGHT = 0x46B8D0, 0x8FE3F3  # as in chart.js
HIDDEN = "th => !th.checkVisibility() && !th.closest('#candle-table')"
NAMES = "all => all.map(one => one.textContent.trim() || (one.labels?.[0]?.textContent ?? ''))"


def cells(page: Page, table: str) -> list[list[str]]:
    """The text of every cell of a table body, venue and symbol together."""
    rows: list[list[str]] = page.eval_on_selector_all(
        f"#{table} tr", "rows => rows.map(row => [...row.children].map(cell => cell.textContent.trim()))"
    )
    return rows


def test_prices_positions_and_money_are_the_published_ones(trader: KnownTrader, page: Page) -> None:
    """Every digit on the page is a digit of the live view, in the decimals of its instrument."""
    with trader.running():
        expect(page.locator("#prices tr")).to_have_count(2)
        assert [row[:4] for row in cells(page, "prices")] == [
            ["EURUSD@oanda", "1.08412", "1.08424", "0.00012"],
            ["USDJPY@oanda", "156.214", "156.226", "0.012"],
        ]
        assert cells(page, "positions") == [["EURUSD@oanda", "+3,000", "−0.12 USD", "0.06", "1"]]
        expect(page.locator("#totals")).to_have_text("P&L −0.12 USD")
        expect(page.locator("#mode")).to_have_text("PAPER")
        expect(page.locator("#account")).to_have_text("known")
        expect(page.locator("#trading")).to_have_text("running")


def test_a_new_price_is_shown(trader: KnownTrader, page: Page) -> None:
    """What is published next replaces what stands there."""
    expect(page.locator("#prices tr")).to_have_count(2)
    trader.publish(bids=(1.07123, 155.001))
    expect(page.locator("#prices tr").nth(0).locator("td").nth(0)).to_have_text("1.07123")
    expect(page.locator("#prices tr").nth(1).locator("td").nth(0)).to_have_text("155.001")


def test_orders_fills_signals_and_reasons(trader: KnownTrader, page: Page) -> None:
    """The working order stands first; fills, the denial, the signal and the reasons are there with their numbers."""
    with trader.running():
        expect(page.locator("#orders tr")).to_have_count(2)
        working, filled = cells(page, "orders")
        assert working[1:] == ["EURUSD@oanda", "▼ sell", "1,000", "1.08500", "—", "● submitted"]
        assert filled[1:] == ["EURUSD@oanda", "▲ buy", "3,000", "market", "1.08428", "filled"]
        assert [row[1:] for row in cells(page, "events")] == [
            ["✕ position", "EURUSD@oanda", "5,000", "—"],
            ["▲ bought", "EURUSD@oanda", "2,000", "1.08430"],
            ["▲ bought", "EURUSD@oanda", "1,000", "1.08424"],
        ]
        assert cells(page, "signals")[0][:4] == ["EURUSD@oanda", "▲ buy", "0.250000", "0.610"]
        assert [[row[0], row[2]] for row in cells(page, "reasons")] == [["no signal", "42"], ["position", "1"]]


def test_an_order_by_hand_says_so(trader: KnownTrader, page: Page) -> None:
    """Its state says that a person gave it, and its title under which name; the orders of a rule do not."""
    told = """async () => {
        const { orders } = await import("/static/panels.js");
        const one = { instrument: "EURUSD@oanda", side: "buy", type: "market", price: null, size: 1, filled: 0, filled_price: null,
                      open: false, state: "filled", placed_ms: 0, seen: 1 };
        orders({ instruments: new Map(), orders: new Map([
            ["a", { ...one, id: "a", by: "hand", client_id: "ann-1" }], ["b", { ...one, id: "b", by: "rule", client_id: "" }]]) });
        return [...document.querySelectorAll("#orders tr")].map((row) => [row.lastElementChild.textContent, row.title]);
    }"""
    by_hand, by_rule = sorted(page.evaluate(told), key=lambda row: row[1])
    assert by_hand[0] == "filled, by hand"
    assert by_hand[1].endswith("by hand ann-1")
    assert (by_rule[0], by_rule[1].endswith("by the rule")) == ("filled", True)


def test_latency_stands_against_its_budget(trader: KnownTrader, page: Page) -> None:
    """Eight stages; the last minute of the whole way with its percentiles, its budget and how much of it is used, in words too."""
    with trader.running():
        expect(page.locator("#latency tr")).to_have_count(8)
        page.wait_for_timeout(1_200)  # a second look of the desk begins the last minute
        for duration_ns in [5_000] * 98 + [16_000] * 2:
            trader.writer.histograms[TOTAL].record(duration_ns)
        expect(page.locator("#latency tr").last).to_contain_text("over ×1.1")
    total = cells(page, "latency")[-1]
    assert total == ["total", "5.12", "16.1", "over ×1.1", "15", "200"]
    expect(page.locator("#tick-to-order")).to_have_text("16.1 µs")


@pytest.mark.parametrize("width", [1400, 1280, 1200, 900])
def test_every_column_can_be_read_on_a_narrow_screen(trader: KnownTrader, page: Page, width: int) -> None:
    """No heading is left out, no table is wider than its panel and no panel than the page, with long latencies too."""
    with trader.running():
        for histogram in trader.writer.histograms:
            for duration_ns in [4_850_000] * 90 + [12_158_000] * 10:
                histogram.record(duration_ns)
        expect(page.locator("#latency tr").last).to_contain_text("over ×811")
        page.set_viewport_size({"width": width, "height": 900})
        assert page.eval_on_selector_all(".panel th", f"all => all.filter({HIDDEN}).map(th => th.textContent)") == []
        assert page.eval_on_selector_all(".panel .scroll", "all => all.map(one => one.scrollWidth - one.clientWidth)") == [0] * 8
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.eval_on_selector("#chart-title", "title => title.scrollWidth - title.clientWidth") <= 0


def test_old_prices_are_grey_and_say_their_age(trader: KnownTrader, page: Page) -> None:
    """After two seconds without a quote the row is marked stale, its age is shown and the banner says so; a fresh quote ends it."""
    first = page.locator("#prices tr").first
    with trader.running():
        expect(first).not_to_have_class("stale")
        assert page.locator("#banner").is_hidden()
    expect(first).to_have_class("selected stale")
    expect(page.locator("#feed")).to_contain_text("stale")
    expect(page.locator("#banner")).to_contain_text("No market data for")
    assert float(first.locator("td").last.inner_text().split()[0]) >= 2.0
    with trader.running():
        expect(first).to_have_class("selected")


def test_halt_takes_one_press_and_resuming_a_typed_word(trader: KnownTrader, page: Page) -> None:
    """HALT reaches the trader through the control block; the page shows the answer; only RESUME, typed, lets it trade again."""
    with trader.running():
        expect(page.locator("#trading")).to_have_text("running")
        page.locator("#halt").click()
        expect(page.locator("#trading")).to_have_text("halted")
        expect(page.locator("#alarm")).to_contain_text("Halted by input")
        expect(page.locator("#alarm")).to_contain_text("1 open order")
        expect(page.locator("#halt")).to_contain_text("HALTED")
        assert trader.control.killed
        assert trader.asked[-1][0] == HALT
        page.locator("#resume").click()
        expect(page.locator("#resume-go")).to_be_disabled()
        page.locator("#resume-word").fill("resume")
        expect(page.locator("#resume-go")).to_be_disabled()
        page.locator("#resume-word").fill("RESUME")
        page.locator("#resume-word").press("Enter")
        expect(page.locator("#trading")).to_have_text("running")
        expect(page.locator("#resume-dialog")).to_be_hidden()
        assert not trader.control.killed
        assert trader.asked[-1][0] == RESUME


def test_the_chart_draws_its_candles_and_can_be_read(trader: KnownTrader, page: Page) -> None:
    """The canvas is crisp and not empty, says its last candle in words, moves by keys, and stands as a table on request."""
    with trader.running():
        chart = page.locator("#chart")
        expect(chart).to_have_attribute("aria-label", re.compile("^10 candles of EURUSD@oanda"))
        for _ in range(50):
            if {RISING, BOUGHT} <= set(page.evaluate(PIXELS)):
                break
            page.wait_for_timeout(100)
        else:
            pytest.fail("no rising candle, or no mark of a fill, on the canvas")
        chart.focus()
        chart.press("Home")
        assert "open 1.08400, high 1.08450, low 1.08350, close 1.08420" in (chart.get_attribute("aria-label") or "")
        page.locator("#as-table").click()
        newest = cells(page, "candles")[0]
        assert newest[1:] == ["1.08400", "1.08459", "1.08350", "1.08420", "109"]
        page.locator("#as-table").click()
        page.locator("#prices .pick", has_text="USDJPY").click()
        expect(page.locator("#chart-title")).to_have_text("USDJPY @oanda")


def test_a_desk_that_dies_is_said(trader: KnownTrader, page: Page, second_desk: DeskProcess) -> None:
    """Without the desk the page says so within seconds; it does not go on looking alive."""
    page.goto(second_desk.url)
    with trader.running():
        expect(page.locator("#connection")).to_have_text("connected to the desk")
        second_desk.close()
        expect(page.locator("#connection")).to_have_text("no connection to the desk")
        expect(page.locator("#banner")).to_contain_text("No connection to the desk")
        expect(page.locator("#prices tr").first).to_have_class("selected stale")
        page.locator("#halt").click()
        expect(page.locator("#alarm")).to_contain_text("tercel halt")


def test_it_can_be_used_without_a_mouse_and_without_colour(trader: KnownTrader, page: Page) -> None:
    """Every header has a scope, every control a name, live regions are there, and the first Tab leads to the chart."""
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("[role=alert][aria-live=assertive]").count() == 1
    assert page.locator("[role=status][aria-live]").count() >= 2
    names = page.eval_on_selector_all("button, input", NAMES)
    assert all(names)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_the_first_paint_does_not_wait_for_data(trader: KnownTrader, page: Page) -> None:
    """The page is drawn before its script runs: the frame, the panels and HALT stand in the first bytes."""
    context = page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    bare = context.new_page()
    bare.goto(page.url)
    assert bare.locator("#halt").is_visible()
    assert bare.locator("section.panel").count() == 8
    context.close()


def test_the_age_counts_from_the_arrival_of_the_quote(trader: KnownTrader, page: Page) -> None:
    """A quote that came an hour ago says an hour, whatever time its source wrote on it."""
    trader.publish(lambda: trader.writer.instruments.__setitem__("quote_wall_ns", wall_ns() - 3 * 3600 * NS_PER_S))
    expect(page.locator("#prices tr").first.locator("td").last).to_have_text("3 h")
