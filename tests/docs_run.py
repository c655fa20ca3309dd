"""Runs the blocks of a page in order, in an empty home and folder, exactly as they stand, and compares what they print.

A page that opens with the comment `<!-- every block runs -->` is one that runs. Of its fenced blocks
- `console`: each line that begins with "$ " is a command, lines below it are what it prints (standard error among it);
- `python`: a program; `python file=NAME`: a file that is written, not run; `toml file=NAME` alike;
- `text` right after a program: what that printed;
- `console install`: not run here, because it fetches packages: `make install` has checks of its own.
Anything else is refused. "…" in an expected text stands for anything, and runs of blanks are equal. All commands of a page share one bash,
so that `cd`, variables and background jobs carry over, and one deadline.
"""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
MARK: Final = "<!-- every block runs -->"
DEADLINE_S: Final = 300.0
_FENCE: Final = re.compile(r"^```(\w*) ?(.*)$")


class Step(NamedTuple):
    """One command (or program, or file to write) of a page, with the line it stands at and what it should print (None: whatever)."""

    line: int
    kind: str
    text: str
    expected: str | None = None
    name: str = ""


def pages() -> list[Path]:
    """Every page that says that it runs."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in found if page.read_text().startswith(MARK))


def steps(page: Path) -> list[Step]:
    """What a page does, in order. Raises AssertionError for a block that is neither run nor compared."""
    found: list[Step] = []
    lines = page.read_text().splitlines()
    at, after_program = 0, False
    while at < len(lines):
        match = _FENCE.match(lines[at])
        if match is None:
            after_program = after_program and not lines[at].strip()
            at += 1
            continue
        end = lines.index("```", at + 1)
        body, line, (language, more) = lines[at + 1 : end], at + 1, match.groups()
        text = "\n".join(body) + "\n"
        where = f"{page.name}:{line}"
        if language == "console" and more == "install":
            assert all(re.fullmatch(r"\$ (make install|\.venv/bin/pip install .*|export PATH=.*|git .*|cd .*)", one) for one in body), where
        elif language == "console":
            found += _commands(body, line, where)
        elif more.startswith("file="):
            found.append(Step(line, "file", text, name=more.removeprefix("file=")))
        elif language == "python" and not more:
            found.append(Step(line, "python", text))
        elif language == "text" and after_program:
            found[-1] = found[-1]._replace(expected=text)
        else:
            raise AssertionError(f"{where}: a block of {language!r} {more!r} is neither run nor what a program just printed")
        after_program = language == "python" and not more
        at = end + 1
    return found


def _commands(body: list[str], line: int, where: str) -> list[Step]:
    found: list[Step] = []
    for offset, one in enumerate(body, 1):
        if one.startswith("$ "):
            found.append(Step(line + offset, "console", one[2:]))
        else:
            assert found, f"{where}: expected a command, found {one!r}"
            found[-1] = found[-1]._replace(expected=(found[-1].expected or "") + one + "\n")
    return found


def matches(expected: str, printed: str) -> bool:
    """Whether a text is what is expected: "…" is anything, blanks are alike, empty lines do not count."""
    parts = ["\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip()) for text in (expected, printed)]
    pattern = re.escape(parts[0]).replace("…", ".*")
    return re.fullmatch(pattern, parts[1], re.DOTALL) is not None


class Shell:
    """One bash in a folder, with `python` and `tercel` of this source and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.work, tools = folder / "work", folder / "tools"
        self.work.mkdir()
        tools.mkdir()
        for name, module in (("python", ""), ("tercel", " -m tercel.cli.main")):
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n')
            tool.chmod(0o755)
        keep = ("LANG", "LC_ALL", "TERCEL_KERNEL_CACHE", "OMP_NUM_THREADS")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        environment |= {"HOME": str(folder), "TERCEL_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT / "src"), "TERM": "dumb"}
        environment["PATH"] = f"{tools}:/usr/local/bin:/usr/bin:/bin"
        self._until = time.monotonic() + DEADLINE_S
        self._bash = subprocess.Popen(
            ["bash", "--norc"], cwd=self.work, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> tuple[int, str]:
        """The status of a command and what it printed. Raises TimeoutError at the page's deadline."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f'{command}\necho "@end@ $?"\n'.encode())
        self._bash.stdin.flush()
        said = b""
        with selectors.DefaultSelector() as ready:
            ready.register(self._bash.stdout, selectors.EVENT_READ)
            while not (end := re.search(rb"@end@ (\d+)\n", said)):
                if not ready.select(max(0.0, self._until - time.monotonic())):
                    so_far = said.decode(errors="replace")
                    raise TimeoutError(f"{command}: expected an end within the page's {DEADLINE_S:g} s; so far: {so_far}")
                more = os.read(self._bash.stdout.fileno(), 1 << 16)
                assert more, f"{command}: bash has ended: {said.decode(errors='replace')}"
                said += more
        return int(end[1]), said[: end.start()].decode()

    def take(self, step: Step) -> None:
        """Do one step and compare. Raises AssertionError with the line of the page."""
        if step.kind == "file":
            (self.work / step.name).write_text(step.text)
            return
        command = step.text
        if step.kind == "python":
            (self.work.parent / "program.py").write_text(step.text)
            command = f'PYTHONPATH="$PYTHONPATH:$PWD" python "{self.work.parent / "program.py"}"'
        status, printed = self.run(command)
        assert status == 0, f"line {step.line}: expected status 0, found {status}:\n{printed}"
        if step.expected is not None:
            assert matches(step.expected, printed), f"line {step.line}: expected\n{step.expected}\nfound\n{printed}"

    def close(self) -> None:
        """End bash and what it left running."""
        if self._bash.poll() is None:
            os.killpg(self._bash.pid, 15)
        try:
            self._bash.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._bash.pid, 9)
            self._bash.wait(20)
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.close()
        self._bash.stdout.close()
