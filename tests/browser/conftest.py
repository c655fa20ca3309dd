"""A Chromium for the tests of the page; without one they are skipped by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.api.known import DeskProcess, KnownTrader, desk_of_known_trader

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium of the system. Its driver keeps a loop in this thread, so it ends with the file, before other tests run."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium, or set CHROMIUM to its path")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KnownTrader, DeskProcess]]:
    """A trader that publishes known values, and the desk beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERCEL_HOME", str(tmp_path_factory.mktemp("home")))
        with desk_of_known_trader() as both:
            yield both


@pytest.fixture
def trader(known: tuple[KnownTrader, DeskProcess]) -> KnownTrader:
    """The trader whose values the page shows."""
    known[0].publish()
    return known[0]


@pytest.fixture
def page(chromium: Browser, known: tuple[KnownTrader, DeskProcess]) -> Iterator[Page]:
    """The page, open; anything it says on the console as an error fails the test."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(10_000)
    page.goto(known[1].url)
    yield page
    page.close()
    assert [text for text in complaints if "WebSocket" not in text and "ERR_CONNECTION" not in text] == []


@pytest.fixture
def second_desk(known: tuple[KnownTrader, DeskProcess]) -> Iterator[DeskProcess]:
    """Another desk of the same account, to be stopped by the test."""
    desk = DeskProcess()
    yield desk
    desk.close()
