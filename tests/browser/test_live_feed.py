"""The page says how the live feed is: live, stale when the venue falls silent, live again on the next socket."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.cli.processes import Running
from tests.market.feeds.venue_market import MadeMarket
from tests.market.feeds.venue_server import Venue

pytestmark = pytest.mark.browser
REPLACED_MS = 60_000  # a mute socket is replaced after 15 s


def test_live_then_stale_then_live(chromium: Browser, home: Path, tmp_path: Path) -> None:
    """A venue that says nothing more is shown as stale, with the age of its data; the next socket is a reconnect, and all is well."""
    with Venue(MadeMarket(("BTCUSDT",), seed=11), tmp_path / "venue") as venue:
        venue.play(100.0)
        words = ("run", "--feed", "binance:BTCUSDT", "--endpoint", venue.url, "--ca", str(venue.authority), "--sync", "never")
        with Running(*words) as running:
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.goto(running.ready().url)
            feed, age = page.locator("#feed"), page.locator("#data-age")
            expect(feed).to_have_text("live", timeout=REPLACED_MS)
            expect(page.locator("#prices tr")).to_have_count(1)
            venue.mute()
            expect(feed).to_have_text(re.compile(r"stale"), timeout=REPLACED_MS)
            assert feed.get_attribute("data-kind") == "warn"
            expect(age).to_have_text(re.compile(r"^[3-9]\.\d s$"))
            expect(feed).to_have_text("live", timeout=REPLACED_MS)
            expect(feed).to_have_attribute("title", re.compile(r"^1 reconnects, [1-9]\d* gaps"))
            expect(age).to_have_text(re.compile(r"^[0-2]\.\d s$"))
            page.close()
            assert running.end() == 0, running.err
