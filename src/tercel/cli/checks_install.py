"""Checks of the installation: Python, packages, compiled kernels, folders, history, ports, the running trader. Each returns a `Finding`."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Final

from tercel import __version__
from tercel.api.ports import PORT, PORTS_TRIED_MAX, is_free
from tercel.base.errors import NotRunning
from tercel.base.paths import catalog_dir, home, kernel_cache_dir, run_dir
from tercel.base.time import NS_PER_DAY, NS_PER_MS, clock_ns, format_instant, wall_ns
from tercel.cli.checks_host import MIB, existing_parent
from tercel.cli.findings import Finding, judge

PYTHON_MIN, PYTHON_BELOW = (3, 11), (3, 14)
PACKAGE_ROOT: Final = Path(__file__).resolve().parents[1]
CHECKOUT: Final = PACKAGE_ROOT.parents[1]  # only meaningful where `in_checkout()` says so
FSYNC_NS_MAX: Final = 20 * NS_PER_MS
FSYNCS, FSYNCS_NS_MAX = 7, 300 * NS_PER_MS  # so many durable writes, or as many as go into that time
SERIES_SHOWN: Final = 3
CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
DATA_AGE_S_MAX: Final = 3.0  # of a feed that calls itself live
PINNED: Final = "pip install -c constraints.txt with the file of this release"
MENTION_LIMIT: Final = 4  # packages named one by one before "and n more"


def in_checkout() -> bool:
    """Whether Tercel runs from its source tree, where the tests live."""
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "src" / "tercel").is_dir()


def python() -> Finding:
    """The versions of Python and Tercel, and that the interpreter has the lock the design counts on."""
    found = sys.version_info[:2]
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    where = "its source tree" if in_checkout() else "an installation"
    text = f"{sys.version.split()[0]}{', without the interpreter lock' if free_threaded else ''}; Tercel {__version__} from {where}"
    wrong = not PYTHON_MIN <= found < PYTHON_BELOW
    remedy = "use an ordinary Python 3.11, 3.12 or 3.13 (make install PYTHON=python3.12)"
    return judge("python", text, fail=wrong, warn=free_threaded, remedy=remedy)


def packages() -> Finding:
    """Every package Tercel requires is there, within the bounds it requires, in the version it was tested with."""
    pins, required = _pins(), _required()
    found = {name: _version(name) for name in required}
    absent = [name for name, version in found.items() if not version]
    if absent:
        return judge("packages", f"missing: {_some(absent)}", fail=True, remedy="make install, or pip install --force-reinstall tercel")
    if not found or not pins:
        return judge(
            "packages", "Tercel is not installed here, only its sources are read", warn=True, remedy="make install, or pip install tercel"
        )
    outside = [f"{name} {version} (needs {required[name]})" for name, version in found.items() if not _within(version, required[name])]
    if outside:
        return judge(
            "packages", f"unfit: {_some(outside)}", fail=True, remedy="pip install -c constraints.txt with the file of this release"
        )
    other = [f"{name} {version} (tested with {pins[name]})" for name, version in found.items() if version != pins.get(name, version)]
    text = f"{len(found)} present" + (f", of other versions: {_some(other)}" if other else "")
    return judge("packages", text, warn=bool(other), remedy=PINNED)


def kernels() -> Finding:
    """Compiled kernels are kept, so that a start does not compile."""
    root = kernel_cache_dir()
    versions = [folder for folder in root.iterdir() if any(folder.rglob("*.nbc"))] if root.is_dir() else []
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) if versions else 0
    if not versions:
        return judge("kernels", "none compiled yet", warn=True, remedy="nothing to do: the first back-test or start compiles them, once")
    text = f"{size / MIB:.1f} MiB compiled, for {len(versions)} version{'s' if len(versions) > 1 else ''} of the sources"
    return judge("kernels", text, warn=size > 1024 * MIB, remedy=f"delete {root}: it is rebuilt when needed")


def folder() -> Finding:
    """TERCEL_HOME can be written, and how long the disk takes to say that a write is safe."""
    root = home()
    remedy = f"make {root} writable for this user, or point TERCEL_HOME at another folder"
    base = existing_parent(root)
    if not base.is_dir() or not os.access(base, os.W_OK | os.X_OK):
        return judge("home", f"{root} cannot be written", fail=True, remedy=remedy)
    if base != root:
        return judge("home", f"{root} will be made on first use", remedy=remedy)
    try:
        took_ns = _durable_writes(root)
    except OSError as error:
        return judge("home", f"{root} cannot be written: {error.strerror}", fail=True, remedy=remedy)
    middle, worst = took_ns[len(took_ns) // 2] / NS_PER_MS, took_ns[-1] / NS_PER_MS
    text = f"{root} writable, a durable write takes {middle:.1f} ms, {worst:.1f} ms at the longest of {len(took_ns)}"
    slow = middle * NS_PER_MS > FSYNC_NS_MAX
    return judge("home", text, warn=slow, remedy="put TERCEL_HOME on a local disk: each order waits for a durable write")


def _durable_writes(root: Path) -> list[int]:
    """How long each of some durable writes of a page took, ns, ascending; fewer where the disk is very slow. Leaves nothing behind."""
    took: list[int] = []
    with tempfile.TemporaryFile(dir=root) as probe:
        while len(took) < FSYNCS and sum(took) < FSYNCS_NS_MAX:
            probe.write(b"x" * 4096)
            probe.flush()
            start = clock_ns()
            os.fsync(probe.fileno())
            took.append(clock_ns() - start)
    return sorted(took)


def history() -> Finding:
    """The catalog holds history; how old the newest row is, and that of the series which was fed longest ago."""
    from tercel.market.manifest import load

    filled = [series for series in load(catalog_dir()).series if series.parts]
    if not filled:
        return judge("history", "the catalog is empty", warn=True, remedy="tercel data import FILE")
    names = [f"{series.key.name} {series.key.what}" for series in filled]
    absent = [part.path for series in filled for part in series.parts if not (catalog_dir() / part.path).is_file()]
    if absent:
        remedy = "import the files again, or restore the catalog from a backup"
        return judge("history", f"files are gone: {_some(absent)}", fail=True, remedy=remedy)
    newest = {name: max(part.last_ns for part in series.parts) for name, series in zip(names, filled, strict=True)}
    last, behind = max(newest, key=lambda name: newest[name]), min(newest, key=lambda name: newest[name])
    text = f"{len(names)} series ({_some(names, SERIES_SHOWN)}), newest row {_age(newest[last])}"
    if newest[behind] < newest[last]:
        text += f"; {behind} ends {_age(newest[behind])}"
    return judge("history", text, remedy="")


def _age(last_ns: int) -> str:
    days = (wall_ns() - last_ns) // NS_PER_DAY
    return f"{format_instant(last_ns, 0)}, {days:,} days ago"


def ports() -> Finding:
    """The port of the page is free, or which the page would take instead; a page that is served now is named."""
    served = {file.read_text().strip(): file.parents[1].name for file in sorted(home().glob("accounts/*/run/desk.url"))}
    pages = [f"page of account {account} at {url}" for url, account in served.items()]
    free = next((port for port in range(PORT, PORT + PORTS_TRIED_MAX) if is_free(port)), None)
    if free is None:
        remedy = "end one of the programs that have them, or give another: tercel run --port"
        return judge("ports", f"{PORT} to {PORT + PORTS_TRIED_MAX - 1} are all in use", warn=True, remedy=remedy)
    text = f"{PORT} free for the page" if free == PORT else f"{PORT} in use, the next page takes {free}"
    return judge("ports", "; ".join([*pages, text]), remedy="")


def trader() -> Finding:
    """The accounts that a trader works for now, and those whose orders are stopped by the kill switch."""
    from tercel.cli.control import accounts, alive
    from tercel.observe.control import ControlClient

    here = accounts()
    running = [account for account in here if alive(account)]
    blocks = [run_dir(account) for account in here]
    halted = [folder.parent.name for folder in blocks if (folder / "control.map").is_file() and ControlClient(folder).killed]
    text = f"running for {_some(running)}" if running else "none running"
    if halted:
        text += f"; halted: {_some(halted)}"
    return judge("trader", text, warn=bool(halted), remedy="orders of that account are refused until `tercel resume` while its trader runs")


def feed() -> Finding:
    """What the running traders' market data does: how old it is, and what went wrong with it."""
    from tercel.cli.control import accounts, alive, frame_of, text

    said, bad = [], False
    for account in filter(alive, accounts()):
        try:
            row = frame_of(account).status
        except NotRunning:
            continue  # it is starting and shows nothing yet
        state, age_s = text(row["feed_state"]), int(row["data_age_ns"]) / 1e9
        quiet = state not in ("live", "done") or (state == "live" and age_s > DATA_AGE_S_MAX)
        bad = bad or quiet
        problem = text(row["feed_problem"]) if quiet else ""
        said.append(f"{account}: {text(row['feed'])} {state}, newest data {age_s:.1f} s old" + (f"; {problem}" if problem else ""))
    remedy = "look at `tercel status`; nothing is decided on old quotes (risk.quote_age_max), and a live feed reconnects by itself"
    return judge("feed", "; ".join(said) or "no trader is running", warn=bad, remedy=remedy)


def browser() -> Finding:
    """A browser for the tests of the page; asked only in a source tree."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    return judge("browser", path or "no chromium: the browser tests are skipped", warn=path is None, remedy="apt-get install chromium")


def _required() -> dict[str, str]:
    """Canonical name -> bounds such as ">=5.4,<6" of every package that the installed Tercel requires."""
    lines = metadata.requires("tercel") or [] if _version("tercel") else []
    found = [re.fullmatch(r"([\w.-]+)\s*\(?([^;)]*)\)?.*", line) for line in lines if "extra ==" not in line]
    return dict(sorted((_canonical(one[1]), one[2].strip()) for one in found if one))


def _within(version: str, bounds: str) -> bool:
    """Whether a version keeps bounds of ">=" and "<", the two that Tercel states; any other bound is left to the installer."""
    pairs = re.findall(r"(>=|<)\s*([\d.]+)", bounds)
    return all((_numbers(version) >= _numbers(bound)) == (sign == ">=") for sign, bound in pairs)


def _numbers(version: str) -> tuple[int, ...]:
    found = [int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0])]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def _pins() -> dict[str, str]:
    for path in (PACKAGE_ROOT / "constraints.txt", CHECKOUT / "constraints.txt"):
        if path.is_file():
            pairs = (line.partition("==") for line in path.read_text().splitlines() if "==" in line)
            return {_canonical(name): version for name, _, version in pairs}
    return {}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _some(names: list[str], limit: int = MENTION_LIMIT) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
