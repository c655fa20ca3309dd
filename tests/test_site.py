"""The site: built without a warning, reached from its navigation, no link of it leads nowhere, and it fetches nothing."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser

from docs.generate import site as builder
from tests.browser.conftest import chromium

__all__ = ["chromium"]  # the fixture of the tests of the page

SCRIPTS = {"a": "href", "link": "href", "script": "src", "img": "src"}
pytestmark = pytest.mark.timeout(600)  # the first run of changed kernels compiles them


class Found(HTMLParser):
    """The links, the anchors and what is loaded of one page; `navigation`: the links of its menus."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.navigation: set[str] = set()
        self._menus = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down what a tag points to, and what can be pointed to."""
        given = dict(attrs)
        self._menus += tag == "nav"
        self.anchors |= {value for name in ("id", "name") if (value := given.get(name))}
        target = given.get(SCRIPTS.get(tag, ""))
        if target and tag == "a":
            self.links.append(target)
            if self._menus:
                self.navigation.add(target)
        elif target and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(target)

    def handle_endtag(self, tag: str) -> None:
        """Leave a menu."""
        self._menus -= tag == "nav"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    return builder.build(tmp_path_factory.mktemp("site") / "site")


@cache
def read(page: Path) -> Found:
    """What stands on a page."""
    return Found(page.read_text())


def pages(site: Path) -> list[Path]:
    """Every page but the one for addresses that do not exist."""
    return [page for page in site.rglob("*.html") if page.name != "404.html"]


def target(page: Path, link: str) -> Path:
    """The file that a link of a page names."""
    return (page.parent / unquote(link.partition("#")[0])).resolve() if link.partition("#")[0] else page


def test_every_page_written_is_built(site: Path) -> None:
    """The pages of the folders and those of the generators are all there."""
    expected = {builder.place(source) for source in builder.sources()} | {Path("reference") / f"{name}.md" for name in builder.GENERATED}
    built = {page.relative_to(site).with_suffix(".md") for page in pages(site)}
    assert expected <= built
    assert len(built) >= 60


def test_no_link_leads_nowhere(site: Path) -> None:
    """Every link names a file of the site, and every anchor one of its page."""
    dead = []
    for page in pages(site):
        for link in read(page).links + read(page).loaded:
            if re.match(r"[a-z]+:", link):
                continue
            file, anchor = target(page, link), link.partition("#")[2]
            if not file.is_file() or (anchor and file.suffix == ".html" and unquote(anchor) not in read(file).anchors):
                dead.append(f"{page.relative_to(site)}: {link}")
    assert not dead


def test_every_page_is_reached_from_the_navigation(site: Path) -> None:
    """Whoever begins at the start and only uses menus comes to every page."""
    start = site / "index.html"
    seen, ahead = {start}, [start]
    while ahead:
        page = ahead.pop()
        found = {target(page, link) for link in read(page).navigation if not re.match(r"[a-z]+:", link)}
        ahead += sorted(found - seen)
        seen |= found
    assert [str(page.relative_to(site)) for page in pages(site) if page not in seen] == []


def test_the_site_fetches_nothing(site: Path) -> None:
    """No script, style, font or picture comes from elsewhere."""
    foreign = {link for page in site.rglob("*.html") for link in read(page).loaded if re.match(r"(?:[a-z]+:)?//", link)}
    assert foreign == set()
    assert not [sheet for sheet in site.rglob("*.css") if re.search(r"url\(\s*[\"']?(?:https?:)?//", sheet.read_text())]


def test_a_dead_link_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that links to nothing is told, and the site that was there stays as it was."""
    (tmp_path / "index.html").write_text("before")

    def broken(folder: Path) -> None:
        (folder / "assets").mkdir()
        (folder / "index.md").write_text("# Start\n\n[away](nowhere.md)\n")

    monkeypatch.setattr(builder, "gather", broken)
    with pytest.raises(SystemExit, match=r"nowhere\.md"):
        builder.build(tmp_path)
    assert (tmp_path / "index.html").read_text() == "before"


@pytest.mark.browser
def test_the_site_is_searched_from_a_file(site: Path, chromium: Browser) -> None:
    """Opened from the disk, without a server, the search finds a setting, and nothing is asked of the network."""
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "reference" / "errors.html").as_uri())
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    page.locator("input:focus").wait_for()
    page.keyboard.type("orders_per_second")
    page.get_by_text(re.compile(r"^[1-9]\d* results?$")).wait_for()
    assert page.get_by_text("[risk]", exact=True).count() == 1
    assert len(asked) > 3
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []


@pytest.mark.browser
@pytest.mark.parametrize("name", ["index", "reference/settings", "reference/command-line", "reference/features/macd"])
def test_a_page_fits_a_phone(name: str, site: Path, chromium: Browser) -> None:
    """Nothing makes a page wider than a narrow screen: wide tables scroll by themselves."""
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    page.goto((site / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
