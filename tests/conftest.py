"""Fixtures every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A property holds at any speed: the first example may have to load compiled code.
settings.register_profile("tercel", deadline=None)
settings.load_profile("tercel")

# A shell starts what runs in the background with Ctrl-C ignored, and what tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Compiled kernels outlive a test's home, in this process and in those it starts: compiling them takes ten seconds.
os.environ.setdefault("TERCEL_KERNEL_CACHE", str(Path.home() / ".tercel" / "cache" / "kernels"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real market data; its README documents layouts and oddities. CI has it."""
    root = Path(os.environ.get("TERCEL_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (root / "quotes").is_dir():
        pytest.skip(f"needs the real market data: set TERCEL_TEST_DATA (looked in {root})")
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty TERCEL_HOME."""
    root = tmp_path / "home"
    monkeypatch.setenv("TERCEL_HOME", str(root))
    return root
