"""`tercel doctor`: each check sees the fault it is for, and only a failure fails."""

from __future__ import annotations

import inspect
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tercel.base.errors import NotRunning
from tercel.base.time import parse_instant
from tercel.cli import checks_host, checks_install, doctor
from tercel.cli.demo import demo
from tercel.cli.findings import Finding, judge
from tercel.cli.run import run
from tercel.market.manifest import Key, Manifest, Part, Series, save
from tercel.observe.control import ControlClient, ControlServer


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
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    assert doctor.doctor(json=True) == status
    assert json.loads(capsys.readouterr().out) == [
        {"name": "disk", "level": level, "text": "3 GiB free", "remedy": "" if level == "ok" else "make room"}
    ]
    assert doctor.doctor() == status
    text = capsys.readouterr().out
    assert text.startswith(f"{level:4}  disk  3 GiB free\n")
    assert text.endswith(f"1 {level}\n")


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
    (catalog / "part.parquet").unlink()
    finding = checks_install.history()
    assert (finding.level, finding.text) == ("fail", "files are gone: part.parquet")


def test_a_busy_port_is_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of the page being taken costs nothing but another number, which is named; all twenty being taken is a warning."""
    from tercel.api import desk

    assert (checks_install.PORT, checks_install.PORTS_TRIED) == (desk.PORT, desk.PORTS_TRIED_MAX)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(checks_install, "PORT", port)
        assert checks_install.ports().level == "ok"
        assert checks_install.ports().text == f"{port} in use, the next page takes {desk.free_port(port)}"
        monkeypatch.setattr(checks_install, "PORTS_TRIED", 1)
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
    monkeypatch.setattr(checks_install, "_required_names", lambda: ["msgspec", "numpy"])
    monkeypatch.setattr(checks_install, "_pins", lambda: {"msgspec": "0.0.1"})
    finding = checks_install.packages()
    assert finding.level == "warn"
    assert "tested with 0.0.1" in finding.text
    monkeypatch.setattr(checks_install, "_required_names", lambda: ["msgspec", "no-such-package-here"])
    finding = checks_install.packages()
    assert (finding.level, finding.text) == ("fail", "missing: no-such-package-here")


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
