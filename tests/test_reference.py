"""The reference is written from the program: every feature, setting, code, error, verb, stage, address, record and name has its entry."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

import tercel
from docs.generate import codes, command_line, errors, face, features, formats, live_view, markup, records, routes, settings, site
from tercel.base.codes import FAULTS, REASONS
from tercel.cli.main import VERBS
from tercel.drivers import settings as parsed
from tercel.features import spec
from tercel.features.opcodes import OPCODES
from tercel.journal.entries import KIND_NAMES
from tercel.market.importers.detect import formats as known_formats
from tercel.observe.stages import DECISION, STAGES

MAKERS = sorted(features.PAGES)
pytestmark = pytest.mark.timeout(600)  # the first run of changed kernels compiles them


@dataclasses.dataclass
class Undocumented:
    """A table of settings with one that says nothing of itself."""

    said: int = 1
    """What it means. [lots; 0 or more]"""
    silent: int = 2


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages and plots of the features."""
    folder: Path = tmp_path_factory.mktemp("features")
    assert sorted(page.stem for page in features.write(folder)) == MAKERS
    return folder


def rows(page: str) -> dict[str, list[str]]:
    """The rows of the tables of a page, by their first cell without code letters."""
    lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    return {cells[0].replace("`", ""): cells[1:] for cells in lines}


def test_every_maker_and_every_opcode_has_a_page() -> None:
    """The pages are those of the makers, each of which is on the face; no opcode is left without one."""
    makers = {name for name, made in vars(spec).items() if inspect.isfunction(made) and made.__module__ == spec.__name__}
    makers = {name for name in makers if name[0] != "_"} - {"bars"}
    assert set(MAKERS) == makers <= set(tercel.__all__)
    assert {op for name in MAKERS for op in features.OPS_OF.get(name, (name,))} == set(OPCODES)


@pytest.mark.parametrize("name", MAKERS)
def test_a_page_says_formula_and_source_and_shows_a_plot(name: str, pages: Path) -> None:
    """The page has a formula, a source, the columns it puts out and its plot; the plot draws every column, within its frame."""
    page, entry = (pages / f"{name}.md").read_text(), features.PAGES[name]
    formula, source = re.search(r'class="formula">([^<]+)<', page), re.search(r'class="source">([^<]+)<', page)
    assert formula
    assert source
    assert len(formula[1]) >= 9
    assert len(source[1]) >= 12
    assert f"]({name}.svg)" in page
    assert all(f"`{column}`" in page for column in entry.example.names)
    assert eval(entry.code, {"tc": tercel}) == entry.example  # the code shown is the feature drawn
    drawing = ElementTree.parse(pages / f"{name}.svg").getroot()
    _, _, width, height = map(float, drawing.attrib["viewBox"].split())
    for place in range(len(entry.example.names)):
        lines = [shape for shape in drawing.iter() if shape.get("class") == f"c{place}"]
        points = [tuple(map(float, pair.split(","))) for line in lines for pair in line.attrib["points"].split()]
        assert len(points) > 200
        assert all(0.0 <= x <= width and 0.0 <= y <= height for x, y in points)
    labels = {text.text for text in drawing.iter() if text.tag.endswith("text")}
    assert {f"— {column}" for column in ("close", *entry.example.names)} <= labels


def test_the_gallery_leads_to_every_feature() -> None:
    """The page of the features shows each of them and leads to its page."""
    assert set(re.findall(r'href="features/(\w+)\.md"', features.page())) == set(MAKERS)


def test_every_setting_has_type_unit_default_bounds_and_meaning() -> None:
    """Whatever key the parser takes stands on the page, each cell filled."""
    page = rows(settings.page())
    taken = {field.name for _, kind in parsed.SECTIONS for field in dataclasses.fields(kind)}
    assert taken <= set(page)
    assert all(all(page[key]) for key in taken - {"model"})
    assert {name for name, _ in parsed.SECTIONS if name} | {field.name for field in dataclasses.fields(parsed.Top)} == set(parsed._TOP)


@pytest.mark.parametrize(("section", "kind"), parsed.SECTIONS)
def test_a_default_on_the_page_is_one_that_the_parser_takes(section: str, kind: type[Any]) -> None:
    """Each default, written into a file as the page shows it, is read back as the default."""
    import tomllib

    for one in settings.settings(section, kind):
        if one.default not in ("none", '""'):  # absent is the default
            found = tomllib.loads(f"x = {one.default}")["x"]
            field = next(field for field in dataclasses.fields(kind) if field.name == one.key)
            given = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            assert found == given, one.key


def test_a_setting_that_says_nothing_is_found_by_name() -> None:
    """A key without a note, or with one that lacks unit and bounds, fails the page with its name."""
    with pytest.raises(AssertionError, match=r"Undocumented\.silent"):
        settings.settings("x", Undocumented)


def test_every_reason_has_a_meaning_and_a_remedy_and_every_fault_a_meaning() -> None:
    """The page has each code of the program."""
    page = rows(codes.page())
    for code, (name, meaning, remedy) in REASONS.items():
        assert page[name] == [str(code), meaning, remedy]
        assert meaning
        assert remedy
    assert all(page[str(code)] == [text] for code, text in FAULTS.items())


def test_every_error_says_who_must_act() -> None:
    """Each class of error that the package raises on purpose is on the page, with its exit status."""
    page = rows(errors.page())
    assert len(errors.errors()) >= 9
    for kind in errors.errors():
        assert page[kind.__name__][0] == str(kind.exit_code)
        assert kind.__doc__, kind


def test_every_verb_and_option_is_explained() -> None:
    """Each verb, and each below it, has a section; each option says what it does."""
    page, found = command_line.page(), dict(command_line.verbs())
    assert {words.split()[0] for words in found} == set(VERBS)
    for words, app in found.items():
        assert f"# tercel {words}\n" in page
        silent = [one.names for one in command_line.options(app) if not one.help]
        assert not silent, f"tercel {words}: say under Parameters what {', '.join(silent)} does"


def test_every_stage_and_value_of_the_views_is_listed() -> None:
    """Stages have a budget and what helps above it; every field of every view is there."""
    stages, _, values = live_view.page().partition("## Values")
    page = rows(stages)
    for stage in (*STAGES, *DECISION):
        assert page[stage.name][1] == f"{stage.budget_us:g} µs"
        assert page[stage.name][3] == stage.remedy
        assert stage.remedy
    assert {field.name for struct in live_view.view_structs() for field in msgspec.structs.fields(struct)} <= set(rows(values))


def test_every_address_says_what_it_answers() -> None:
    """Each route of the desk is on the page with its method."""
    text = routes.page()
    assert len(routes.routes()) >= 12
    assert all(f"| `{route.path}` | " in text for route in routes.routes())


def test_every_record_and_journal_entry_is_described() -> None:
    """Each layout of the module has its table, each kind of entry its own."""
    page = records.page()
    assert set(records.VIEWS) == records.dtypes()
    assert all(f": {name}\n" in page for kind, name in KIND_NAMES.items() if kind in records.entries._STRUCTS)
    assert "Data, never an order" in rows(page)["ts_event"][2]  # the comment beside the field, and not that of another


def test_every_format_is_listed() -> None:
    """The formats are those that files are asked for."""
    assert set(known_formats()) < set(rows(formats.page()))


def test_every_public_name_has_a_section_or_a_page() -> None:
    """Nothing on the face is without signature and docstring."""
    page = face.page()
    for name in tercel.__all__:
        if name != "__version__":
            assert f"### tc.{name}\n" in page or f"[`tc.{name}`](features/{name}.md)" in page


def test_what_has_no_words_of_its_own_is_refused() -> None:
    """A page cannot be made of nothing: no docstring, or no rows, is an error."""
    with pytest.raises(AssertionError, match="no docstring"):
        markup.said(lambda: None)
    with pytest.raises(AssertionError, match="no rows"):
        markup.table(("a",), [])
    with pytest.raises(LookupError, match="no_such_name"):
        markup.side_notes(markup, "no_such_name")


def test_every_generator_is_on_the_site() -> None:
    """No file that writes a page is left out of the site."""
    makers = {path.stem for path in Path(site.__file__).parent.glob("*.py") if "\ndef page() -> str:" in path.read_text()}
    assert {make.__module__.rpartition(".")[2] for make in site.GENERATED.values()} == makers
