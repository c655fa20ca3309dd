"""`tercel doctor`: what is missing on this machine, and how to mend it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from tercel.cli import checks_host, checks_install
from tercel.cli.findings import LEVELS, Finding
from tercel.cli.show import Json, Report, print_json, progress

CHECKS: Final[tuple[Callable[[], Finding], ...]] = (
    checks_install.python,
    checks_install.packages,
    checks_install.kernels,
    checks_install.folder,
    checks_host.disk,
    checks_host.memory,
    checks_host.cpu,
    checks_host.limits,
    checks_host.clock,
    checks_host.jitter,
    checks_host.hints,
    checks_install.history,
    checks_install.ports,
    checks_install.trader,
    checks_install.feed,
)
DEVELOPER_CHECKS: Final = (checks_install.browser,)
COLOURS: Final = {"ok": "32", "warn": "33", "fail": "31"}


def examine(report: Report = lambda what, done, total: None) -> list[Finding]:
    """The findings of every check that applies here, in reading order. A check that breaks is itself a finding."""
    checks = CHECKS + (DEVELOPER_CHECKS if checks_install.in_checkout() else ())
    found: list[Finding] = []
    for check in checks:
        report(check.__name__, len(found), len(checks))
        found.append(_outcome(check))
    return found


def written(findings: Sequence[Finding], colour: bool) -> str:
    """The findings for people: a line each, its remedy under it, the sum last."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        start, end = (f"\033[{COLOURS[finding.level]}m", "\033[0m") if colour else ("", "")
        lines.append(f"{start}{finding.level:4}{end}  {finding.name:{width}}  {finding.text}")
        if finding.remedy:
            lines.append(f"{'':{width + 8}}{finding.remedy}")
    counts = {level: sum(finding.level == level for finding in findings) for level in LEVELS}
    lines.append(", ".join(f"{count} {level}" for level, count in counts.items() if count))
    return "\n".join(lines)


def doctor(*, json: Json = False) -> int:
    """Say what is missing on this machine and how to mend it. Changes nothing; takes a second or two.

    Example: tercel doctor

    The exit status is 1 when a check fails, which means that Tercel cannot work here; warnings leave it 0.

    With --json it is a list of name, level ("ok", "warn", "fail"), text and remedy.
    """
    with progress(quiet=json) as tell:
        findings = examine(tell)
    if json:
        print_json(findings)
    else:
        print(written(findings, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return int(any(finding.level == "fail" for finding in findings))


def _outcome(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - the other checks are still worth having
        remedy = "this check is broken, not the machine: please report it with this line"
        return Finding(check.__name__, "warn", f"could not be checked: {type(error).__name__}: {error}", remedy)
