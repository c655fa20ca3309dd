"""The reference of the features: a page and a plot for every maker, with its formula and its source."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tercel
from docs.reference import build_features
from tercel.features import spec
from tercel.features.opcodes import OPCODES

MAKERS = sorted(build_features.PAGES)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` writes them."""
    folder: Path = tmp_path_factory.mktemp("site")
    pages = build_features.build(folder)
    assert sorted(page.stem for page in pages) == MAKERS
    return folder


def test_every_maker_and_every_opcode_has_a_page() -> None:
    """The pages are those of the makers, each of which is on the face; no opcode is left without one."""
    makers = {name for name, made in vars(spec).items() if inspect.isfunction(made) and made.__module__ == spec.__name__}
    makers = {name for name in makers if name[0] != "_"} - {"bars"}
    assert set(MAKERS) == makers <= set(tercel.__all__)
    assert {op for name in MAKERS for op in build_features.OPS_OF.get(name, (name,))} == set(OPCODES)


@pytest.mark.parametrize("name", MAKERS)
def test_a_page_says_formula_and_source_and_shows_a_plot(name: str, site: Path) -> None:
    """The page has a formula, a source, the columns it puts out and its plot; the plot draws every column, within its frame."""
    page, entry = (site / f"{name}.html").read_text(), build_features.PAGES[name]
    formula, source = re.search(r'class="formula">([^<]+)<', page), re.search(r'class="source">([^<]+)<', page)
    assert formula
    assert source
    assert len(formula[1]) >= 9
    assert len(source[1]) >= 12
    assert f'<img src="{name}.svg"' in page
    assert all(f"<code>{column}</code>" in page for column in entry.example.names)
    assert eval(entry.code, {"tc": tercel}) == entry.example  # the code shown is the feature drawn
    drawing = ElementTree.parse(site / f"{name}.svg").getroot()
    _, _, width, height = map(float, drawing.attrib["viewBox"].split())
    for place in range(len(entry.example.names)):
        lines = [shape for shape in drawing.iter() if shape.get("class") == f"c{place}"]
        points = [tuple(map(float, pair.split(","))) for line in lines for pair in line.attrib["points"].split()]
        assert len(points) > 200
        assert all(0.0 <= x <= width and 0.0 <= y <= height for x, y in points)
    labels = {text.text for text in drawing.iter() if text.tag.endswith("text")}
    assert {f"— {column}" for column in ("close", *entry.example.names)} <= labels


def test_the_first_page_leads_to_all(site: Path) -> None:
    """Every page is linked from the first, and leads back."""
    links = set(re.findall(r'href="(\w+)\.html"', (site / "index.html").read_text()))
    assert links == set(MAKERS)
    assert all('href="index.html"' in (site / f"{name}.html").read_text() for name in MAKERS)
