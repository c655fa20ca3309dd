"""The words around the code are true: links lead somewhere, named files exist, commands and examples use what there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tercel
from tercel.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
NAMED_FILE = re.compile(r"`((?:src|tests|docs|benchmarks|changelog\.d|\.ci)/[\w./-]*)`")
SHELL = {"bash", "console", "sh", "shell"}
REQUIREMENT = re.compile(r"^\| ([A-Z]\d{1,2}) \|", re.MULTILINE)
REQUIREMENT_COUNTS = {"L": 14, "M": 5, "F": 6, "P": 8, "X": 6, "C": 10, "D": 7, "S": 9, "W": 4, "O": 5, "T": 5}

page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


class Block(NamedTuple):
    """A fenced block: its language, the line it starts at and its text."""

    language: str
    line: int
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found, start, language, body = [], 0, "", list[str]()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            if start:
                found.append(Block(language, start, "\n".join(body)))
                start, body = 0, []
            else:
                start, language = number, line.strip().strip("`").partition(" ")[0]
        elif start:
            body.append(line)
    assert not start, f"{page.name}:{start}: this block is never closed"
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page give."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """The words of every command line shown in a shell block, prompts and comments taken off."""
    for block in blocks(page):
        if block.language in SHELL:
            for offset, line in enumerate(block.text.splitlines(), 1):
                for command in re.split(r"&&|\|\||[|;]|   +", re.sub(r"^\s*\$ |\s#.*$|^#.*$", "", line)):
                    if words := command.split():
                        yield block.line + offset, words


@page_by_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there, and every anchor a heading of it."""
    dead = []
    for link in (first or second for first, second in LINK.findall(prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@page_by_page
def test_named_files_exist(page: Path) -> None:
    """A path of this repository in code letters is a file or folder of it."""
    assert [name for name in NAMED_FILE.findall(prose(page)) if not (ROOT / name).exists()] == []


@page_by_page
def test_commands_exist(page: Path) -> None:
    """Every `make` target and every `tercel` verb that a page shows is one that there is."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for line, shown in commands(page):
        words = [word for word in shown if not re.fullmatch(r"[A-Z_]+=.*", word)]
        verb = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
        tool = Path(words[0]).name if words else ""
        if (tool == "make" and verb and verb not in targets) or (tool == "tercel" and verb and verb not in VERBS):
            wrong.append((line, tool, verb))
    assert not wrong


@page_by_page
def test_python_examples_use_real_names(page: Path) -> None:
    """Every Python example parses, and each `tc.name` in it is a public name."""
    for block in blocks(page):
        if block.language != "python":
            continue
        names = [
            node.attr
            for node in ast.walk(ast.parse(block.text, f"{page.name}:{block.line}"))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tc"
        ]
        assert set(names) <= set(tercel.__all__), f"{page.name}:{block.line}"


def test_every_requirement_has_one_row() -> None:
    """The table of requirements names each wish exactly once and says where it lives and what proves it, or "not yet"."""
    page = (ROOT / "docs" / "requirements.md").read_text()
    expected = [f"{letter}{number}" for letter, count in REQUIREMENT_COUNTS.items() for number in range(1, count + 1)]
    assert sorted(REQUIREMENT.findall(page)) == sorted(expected)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if REQUIREMENT.match(line)]
    for identity, what, where, proof in rows:
        assert what, identity
        assert where, identity
        assert (where == "not yet") == (proof == "not yet"), f"{identity}: built and proven, or neither"
