"""Builds the site: `python -m docs.generate.site [folder]`, which is `make docs`.

The pages written by hand and those written from the program are gathered in one folder, links are turned to where their target stands
there, the navigation follows from the folders, and Zensical makes HTML of it. The site fetches nothing and needs no server. A warning is
an error, and so is a dead link or anchor.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from docs.generate import codes, command_line, errors, face, features, formats, live_view, records, routes, settings

ROOT = Path(__file__).resolve().parents[2]
GENERATED: dict[str, Callable[[], str]] = {
    "api": routes.page,
    "command-line": command_line.page,
    "errors": errors.page,
    "features": features.page,
    "formats": formats.page,
    "metrics": live_view.page,
    "python": face.page,
    "reason-codes": codes.page,
    "records": records.page,
    "settings": settings.page,
}
"""What is written from the program, below the page of this name in docs/reference where there is one."""

SECTIONS = ("tutorials", "course", "how-to", "reference", "explanation", "decisions", "project")
TITLES = {"course": "Course", "how-to": "How-to", "tutorials": "Tutorials"}
PROJECT = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
LINK = re.compile(r"(\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?\)")
FETCHED = re.compile(r'<script src="https?://[^"]*"[^>]*></script>')  # the theme would fetch what worker.js does
FENCE = re.compile(r"(^ *```.*?^ *```)", re.DOTALL | re.MULTILINE)


class Entry(NamedTuple):
    """A line of the navigation: a page, or a section with pages below it."""

    title: str
    path: str
    below: tuple[Entry, ...] = ()


def place(source: Path) -> Path | None:
    """Where a file of the repository stands in the site, None when it does not."""
    path = source.resolve().relative_to(ROOT)
    if source.is_dir():
        return place(source / "README.md")
    if path.parts[0] == "docs" and path.suffix == ".md":
        inside = path.relative_to("docs")
        inside = Path("project") / inside if len(inside.parts) == 1 and inside.stem != "README" else inside
        return inside.with_name("index.md") if inside.stem == "README" else inside
    if path.parts[0] == "changelog.d":
        return Path("project") / "changelog.md"
    if path.as_posix() in PROJECT:
        return Path("project") / ("overview.md" if path.stem == "README" else f"{path.stem.lower().replace('_', '-')}.md")
    return Path("examples") / f"{path.stem}.md" if path.parts[0] == "examples" and path.suffix == ".py" else None


def sources() -> Iterator[Path]:
    """Every file of the repository that is a page of the site."""
    yield from (ROOT / name for name in PROJECT)
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "examples").glob("*.py"))


def turned(text: str, source: Path, target: Path) -> str:
    """A page's text with its links turned: to where their target stands in the site, or to plain words where it does not."""

    def turn(link: re.Match[str]) -> str:
        opening, name, anchor = link[1], link[2], link[3] or ""
        if re.match(r"[a-z]+:", name):
            return link[0]
        found = place(source.parent / name)
        if found is None:
            return f"`{(source.parent / name).resolve().relative_to(ROOT)}`" if opening == f"[{name}](" else opening[1:-2]
        return f"{opening}{os.path.relpath(found, target.parent)}{anchor})"

    return "".join(part if part.startswith("```") else LINK.sub(turn, part) for part in FENCE.split(text))


def page_text(source: Path, target: Path) -> str:
    """What a page of the site says; an example is its own code."""
    text = source.read_text()
    if source.suffix == ".py":
        name = source.relative_to(ROOT)
        return f"# {name}\n\n```python\n{text}```\n"
    return turned(text, source, target)


def gather(folder: Path) -> None:
    """Write every page of the site, as Markdown, into `folder`."""
    for source in sources():
        target = place(source)
        assert target is not None, source
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).write_text(page_text(source, target))
    for name, make in GENERATED.items():
        page = folder / "reference" / f"{name}.md"
        before = page.read_text() if page.exists() else f"# {name.capitalize().replace('-', ' ')}\n"
        page.write_text(f"{before}\n{make()}")
    features.write(folder / "reference" / "features")
    (folder / "project" / "changelog.md").write_text(changelog())
    (folder / "assets").mkdir()
    for asset in ("docs/generate/site.css", "docs/generate/worker.js", "src/tercel/api/static/mark.svg"):
        shutil.copy(ROOT / asset, folder / "assets")


def changelog() -> str:
    """The changelog with what the next release will say on top."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "Unreleased", "--date", ""]
    draft = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    released = ROOT / "CHANGELOG.md"
    return f"# Changelog\n\n{draft}\n" + (released.read_text().partition("\n")[2] if released.exists() else "")


def title_of(page: Path) -> str:
    """The first heading of a page, without code letters."""
    heading = re.search(r"^# +(.+)$", page.read_text(), re.MULTILINE)
    assert heading, f"{page}: expected a heading"
    return heading[1].replace("`", "")


def entries(folder: Path, inside: str) -> tuple[Entry, ...]:
    """The navigation of one folder: its index first, pages by their title, those that a folder of the same name continues with it below."""
    pages = sorted(
        (folder / inside).glob("*.md"), key=lambda page: (page.stem != "index", inside != "decisions" and title_of(page).lower(), page.name)
    )
    found = []
    for page in pages:
        below = entries(folder, f"{inside}/{page.stem}") if (folder / inside / page.stem).is_dir() else ()
        found.append(Entry(title_of(page), f"{inside}/{page.name}", below))
    return tuple(found)


def navigation(folder: Path) -> list[Entry]:
    """The whole navigation: the start, then a section for each folder that has pages."""
    known = [name for name in (*SECTIONS, *sorted(path.name for path in folder.iterdir())) if (folder / name).is_dir()]
    sections = [Entry(TITLES.get(name, name.capitalize()), "", entries(folder, name)) for name in dict.fromkeys(known)]
    return [Entry("Start", "index.md"), *(section for section in sections if section.below)]


def toml(entry: Entry) -> str:
    """An entry of the navigation as an inline table of the configuration."""
    if not entry.below:
        return f"{{ {quoted(entry.title)} = {quoted(entry.path)} }}"
    own = [quoted(entry.path)] if entry.path else []
    return f"{{ {quoted(entry.title)} = [{', '.join([*own, *map(toml, entry.below)])}] }}"


def quoted(text: str) -> str:
    """A basic string of TOML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def configuration(folder: Path) -> str:
    """`zensical.toml` for the pages in `folder`."""
    nav = ",\n  ".join(toml(entry) for entry in navigation(folder))
    return (ROOT / "docs" / "generate" / "zensical.toml").read_text().replace("nav = []", f"nav = [\n  {nav},\n]")


def build(site: Path) -> Path:
    """Write the whole site into `site`, replacing what was there; returns it. Leaves with what was said when a page has a fault."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "pages").mkdir()
        gather(work / "pages")
        (work / "zensical.toml").write_text(configuration(work / "pages"))
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode or not (work / "site" / "index.html").is_file():
            said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr).partition("Traceback")[0]
            raise SystemExit(f"docs: the site was not built, a page has a fault:\n{said}")
        for page in (work / "site").rglob("*.html"):
            ours = f'<script src="{os.path.relpath(work / "site" / "assets" / "worker.js", page.parent)}"></script>'
            page.write_text(FETCHED.sub(ours, page.read_text()))
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(work / "site", site)
    return site


def main(arguments: list[str]) -> None:
    """Build into the folder given, else `site`."""
    site = build(Path(arguments[0] if arguments else ROOT / "site").resolve())
    print(f"docs: {len(list(site.rglob('*.html')))} pages, open {os.path.relpath(site / 'index.html')}")


if __name__ == "__main__":
    main(sys.argv[1:])
