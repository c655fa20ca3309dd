"""`tercel doctor`: each check sees the fault it is for, and only a failure fails."""

from __future__ import annotations

import inspect
import json
import os
import resource
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tercel.api.ports import free_port
from tercel.base.errors import NotRunning
from tercel.base.time import NS_PER_DAY, parse_instant
from tercel.cli import checks_host, checks_install, doctor
from tercel.cli.demo import demo
from tercel.cli.findings import Finding, judge
from tercel.cli.run import run
from tercel.market.manifest import Key, Manifest, Part, Series, save
from tercel.observe.control import ControlClient, ControlServer
from tests.cli.processes import tercel


def test_every_finding_is_named_and_only_trouble_has_a_remedy(home: Path) -> None:
    """On this machine every check answers once under its own name, with a remedy exactly when something is wrong."""
    findings = doctor.examine()
    assert len({finding.name for finding in findings}) == len(findings) >= len(doctor.CHECKS)
    for finding in findings:
        assert finding.text
        assert bool(finding.remedy) == (finding.level != "ok"), finding
        assert "could not be checked" not in finding.text, finding


@pytest.mark.parametrize(("level", "status"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_only_a_failure_fails(level: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 1 when a check fails and 0 for everything milder; JSON says the same as the text."""
    finding = judge("disk", "3 GiB free", fail=level == "fail", warn=level == "warn", remedy="make room")
    monkeypatch.setattr(doctor, "examine", lambda report: [finding])
    assert doctor.doctor(json=True) == status
    assert json.loads(capsys.readouterr().out) == [
        {"name": "disk", "level": level, "text": "3 GiB free", "remedy": "" if level == "ok" else "make room"}
    ]
    assert doctor.doctor() == status
    text = capsys.readouterr().out
    assert text.startswith(f"{level:4}  disk  3 GiB free\n")
    assert text.endswith(f"1 {level}\n")


def test_each_check_is_told_of_while_it_runs(home: Path) -> None:
    """Whoever waits sees which check is running, and of how many."""
    told: list[tuple[str, float, float]] = []
    findings = doctor.examine(lambda *said: told.append(said))
    assert [done for _, done, _ in told] == list(range(len(findings)))
    assert {total for _, _, total in told} == {len(findings)}
    assert "jitter" in {name for name, _, _ in told}


def test_a_broken_check_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that raises is reported as one that could not be made, and the next still runs."""

    def broken() -> Finding:
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "CHECKS", (broken, checks_host.cpu))
    monkeypatch.setattr(doctor, "DEVELOPER_CHECKS", ())
    first, second = doctor.examine()
    assert first.level == "warn"
    assert "OSError: no such device" in first.text
    assert second.name == "cpu"


def test_a_folder_without_write_permission_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TERCEL_HOME that cannot be written is a failure and names the way out; root may write anywhere, so the answer is given."""
    monkeypatch.setenv("TERCEL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = checks_install.folder()
    assert found.level == "fail"
    assert "TERCEL_HOME" in found.remedy


def test_a_home_that_is_a_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TERCEL_HOME below a plain file can never be made: a failure."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TERCEL_HOME", str(tmp_path / "file" / "home"))
    assert checks_install.folder().level == "fail"


def test_a_writable_home_is_left_as_it_was(home: Path) -> None:
    """The probe of the folder leaves nothing behind, and a folder not yet there is not made."""
    assert checks_install.folder().level == "ok"
    assert not home.exists()
    home.mkdir()
    assert "durable write" in checks_install.folder().text
    assert list(home.iterdir()) == []


def test_history_is_counted_by_series_and_newest_row(home: Path) -> None:
    """The manifest says which series there are and how old the newest row is; a file it names that is gone is a failure."""
    assert checks_install.history().level == "warn"
    catalog = home / "catalog"
    catalog.mkdir(parents=True)
    (catalog / "part.parquet").write_bytes(b"")
    last_ns = parse_instant("2014-05-02T12:30")
    part = Part(date="2014-05-02", path="part.parquet", rows=1, first_ns=last_ns, last_ns=last_ns, bytes=0, fingerprint="")
    save(catalog, Manifest(series=[Series(key=Key("EURUSD", "oanda", "quote"), parts=[part])]))
    finding = checks_install.history()
    assert finding.level == "ok"
    assert finding.text.startswith("1 series (EURUSD@oanda quote), newest row 2014-05-02 12:30:00, ")
    assert finding.text.endswith(" days ago")
    older = Part(date="2014-04-30", path="part.parquet", rows=1, first_ns=0, last_ns=last_ns - 2 * NS_PER_DAY, bytes=0, fingerprint="")
    behind = Series(key=Key("GBPUSD", "oanda", "quote"), parts=[older])
    save(catalog, Manifest(series=[Series(key=Key("EURUSD", "oanda", "quote"), parts=[part]), behind]))
    assert "newest row 2014-05-02 12:30:00, " in checks_install.history().text
    assert "; GBPUSD@oanda quote ends 2014-04-30 12:30:00, " in checks_install.history().text
    (catalog / "part.parquet").unlink()
    finding = checks_install.history()
    assert (finding.level, finding.text) == ("fail", "files are gone: part.parquet, part.parquet")


def test_a_busy_port_is_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of the page being taken costs nothing but another number, which is named; all twenty being taken is a warning."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(checks_install, "PORT", port)
        assert checks_install.ports().level == "ok"
        free, claim = free_port(port)
        os.close(claim)
        assert checks_install.ports().text == f"{port} in use, the next page takes {free}"
        monkeypatch.setattr(checks_install, "PORTS_TRIED_MAX", 1)
        assert (checks_install.ports().level, checks_install.ports().text) == ("warn", f"{port} to {port} are all in use")
    assert checks_install.ports().text == f"{port} free for the page"
    folder = home / "accounts" / "main" / "run"
    folder.mkdir(parents=True)
    (folder / "desk.url").write_text("http://127.0.0.1:1/")
    assert checks_install.ports().text.startswith("page of account main at http://127.0.0.1:1/; ")


@pytest.mark.parametrize("verb", [run, demo])
def test_the_page_has_one_port_by_default(verb: Callable[..., int]) -> None:
    """The verbs and the doctor speak of the same port."""
    assert inspect.signature(verb).parameters["port"].default == checks_install.PORT


def test_a_running_and_a_halted_trader_are_seen(home: Path) -> None:
    """An account whose trader holds its lock is running; one whose kill flag is set is a warning, also when nothing runs."""
    assert checks_install.trader().text == "none running"
    folder = home / "accounts" / "main" / "run"
    folder.mkdir(parents=True)
    server = ControlServer(folder)
    assert (checks_install.trader().level, checks_install.trader().text) == ("ok", "running for main")
    server.close()
    with pytest.raises(NotRunning):
        ControlClient(folder).halt("test")
    assert (checks_install.trader().level, checks_install.trader().text) == ("warn", "none running; halted: main")


def test_another_version_and_a_missing_package_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of another version than the tested one is a warning, an absent one a failure."""
    monkeypatch.setattr(checks_install, "_required", lambda: {"msgspec": ">=0.18", "numpy": ">=2.0,<99"})
    monkeypatch.setattr(checks_install, "_pins", lambda: {"msgspec": "0.0.1"})
    finding = checks_install.packages()
    assert finding.level == "warn"
    assert "tested with 0.0.1" in finding.text
    monkeypatch.setattr(checks_install, "_required", lambda: {"msgspec": "", "no-such-package-here": ""})
    finding = checks_install.packages()
    assert (finding.level, finding.text) == ("fail", "missing: no-such-package-here")
    monkeypatch.setattr(checks_install, "_required", lambda: {"msgspec": ">=99.1"})
    finding = checks_install.packages()
    assert finding.level == "fail"
    assert finding.text.startswith("unfit: msgspec ")
    assert finding.text.endswith(" (needs >=99.1)")


def test_what_is_required_is_what_the_project_states() -> None:
    """The bounds are read from the installed metadata, for every package of the core and for none of an extra."""
    stated = tomllib.loads((checks_install.CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = checks_install._required()
    assert sorted(found) == sorted(line.partition(">")[0] for line in stated)
    assert found["cyclopts"].replace("<6", "").strip(",") == ">=5.4"


@pytest.mark.parametrize(
    ("version", "bounds", "within"),
    [
        ("5.4", ">=5.4,<6", True),
        ("5.3.9", ">=5.4,<6", False),
        ("6.0.0", ">=5.4,<6", False),
        ("5.10", ">=5.4,<6", True),
        ("2", ">=2.0", True),
        ("2.0.0rc1", "<6,>=2.0", True),
        ("1", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, bounds: str, within: bool) -> None:
    """5.10 is newer than 5.4, 2 is 2.0, and no bound is kept by everything."""
    assert checks_install._within(version, bounds) is within


@pytest.mark.parametrize(
    ("files", "processes", "level", "said"),
    [
        (65_536, resource.RLIM_INFINITY, "ok", "65,536 open files (1,048,576 at most), unlimited processes, locked memory 8 MiB"),
        (1024, 4096, "warn", "1,024 open files"),
        (65_536, 100, "warn", "100 processes"),
        (65_536, 10, "fail", "10 processes"),
        (100, 4096, "fail", "100 open files"),
    ],
)
def test_limits_of_the_process_are_judged(files: int, processes: int, level: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few files or processes are a warning that names the command, too few a failure; a limit on locked memory is only shown."""
    kept = {
        resource.RLIMIT_NOFILE: (files, 2**20),
        resource.RLIMIT_NPROC: (processes, processes),
        resource.RLIMIT_MEMLOCK: (8 * 2**20, 8 * 2**20),
    }
    monkeypatch.setattr(resource, "getrlimit", lambda which: kept[which])
    found = checks_host.limits()
    assert found.level == level
    assert said in found.text
    assert ("ulimit -" in found.remedy) == (level != "ok")


@pytest.mark.parametrize(
    ("kernel", "level", "said"),
    [
        ((True, 12_500, 800), "ok", "wall clock synchronised, off by about 0.8 ms and at most 12.5 ms"),
        ((True, 5_000_000, 800), "warn", "at most 5000.0 ms"),
        ((False, 16_000_000, 16_000_000), "warn", "wall clock not synchronised"),
        ((None, 0, 0), "warn", "synchronisation of the wall clock unknown"),
    ],
)
def test_the_wall_clock_is_as_good_as_the_kernel_says(
    kernel: tuple[bool | None, int, int], level: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not synchronised, unknown, or an error of seconds: a warning that names a time service."""
    monkeypatch.setattr(checks_host, "_kernel_time", lambda: kernel)
    found = checks_host.clock()
    assert found.level == level
    assert said in found.text
    assert ("time service" in found.remedy) == (level != "ok")


def test_the_kernel_tells_what_its_own_tool_tells() -> None:
    """The fields are read at the right places: errors are not negative and the larger bounds the smaller, or nothing can be known."""
    synchronised, error_us, estimate_us = checks_host._kernel_time()
    assert synchronised in (True, False, None)
    assert 0 <= estimate_us <= 16_000_000
    assert 0 <= error_us <= 16_000_000


def test_hints_are_never_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Governor, isolated processors and huge pages stand in one line, whatever they are."""
    told = {"scaling_governor": "powersave", "isolated": "2-3", "enabled": "always [madvise] never"}
    monkeypatch.setattr(checks_host, "_read", lambda path: told[path.rpartition("/")[2]])
    found = checks_host.hints()
    assert (found.level, found.remedy) == ("ok", "")
    assert found.text == ("frequency governor powersave (performance is steadier), isolated processors 2-3, transparent huge pages madvise")
    monkeypatch.setattr(checks_host, "_read", lambda path: "")
    assert checks_host.hints().text == "frequency governor not shown, isolated processors none, transparent huge pages not shown"


def test_a_slow_disk_is_a_warning_and_is_not_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The middle of some durable writes is judged, the longest shown; where each takes 200 ms only two are made."""
    home.mkdir()
    now = [0]

    def fsync(_file: int) -> None:
        now[0] += 200_000_000

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(checks_install, "clock_ns", lambda: now[0])
    found = checks_install.folder()
    assert found.level == "warn"
    assert found.text.endswith("a durable write takes 200.0 ms, 200.0 ms at the longest of 2")


def test_the_real_run_answers_in_json_with_a_remedy_for_every_trouble(home: Path) -> None:
    """The command itself, in its own process: one document, every check in it, status 0 or 1 as the levels say."""
    done = tercel("doctor", "--json")
    found = json.loads(done.stdout)
    names = [one["name"] for one in found]
    assert len(names) == len(set(names)) >= len(doctor.CHECKS)
    assert {"python", "packages", "home", "disk", "limits", "clock", "jitter", "hints", "history", "feed"} <= set(names)
    assert all(one["remedy"] for one in found if one["level"] != "ok")
    assert done.returncode == int(any(one["level"] == "fail" for one in found))
    assert done.stderr == ""


def test_time_lost_to_others_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jitter check reports the longest pause and the share of time that went elsewhere."""
    pause_ns = checks_host.JITTER_RUN_NS // 2
    now = iter(range(0, 10 * checks_host.JITTER_RUN_NS, 100_000))
    reads = [0]

    def clock_ns() -> int:
        reads[0] += 1
        return next(now) + (pause_ns if reads[0] > 100 else 0)

    monkeypatch.setattr(checks_host, "clock_ns", clock_ns)
    finding = checks_host.jitter()
    assert finding.level == "warn"
    assert "125.1 ms at the longest" in finding.text
