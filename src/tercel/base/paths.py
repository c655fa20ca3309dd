"""Where Tercel keeps things: everything under one folder, `TERCEL_HOME` (default `~/.tercel`)."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The root of everything Tercel stores; created on first use by whoever writes."""
    return Path(os.environ.get("TERCEL_HOME") or Path.home() / ".tercel").expanduser()


def catalog_dir() -> Path:
    """History: Parquet partitions and the instrument table."""
    return home() / "catalog"


def mapped_dir() -> Path:
    """Immutable mapped tick files derived from the catalog; safe to delete."""
    return home() / "cache" / "mapped"


def checkpoints_dir() -> Path:
    """Market state at the ends of partitions, by program and instruments; derived from the catalog, safe to delete."""
    return home() / "cache" / "checkpoints"


def kernel_cache_dir() -> Path:
    """Compiled kernels, one folder per hash of their sources; safe to delete. `TERCEL_KERNEL_CACHE` moves it."""
    return Path(os.environ.get("TERCEL_KERNEL_CACHE") or home() / "cache" / "kernels")


def models_dir() -> Path:
    """The model registry: a folder for each name, in it one for each version."""
    return home() / "models"


def session_dir(account: str) -> Path:
    """Input log, journal and snapshots of one account."""
    return home() / "accounts" / account


def bound_dir(account: str) -> Path:
    """Models bound for the core of one account: its own, and those a running trader was told to take."""
    return session_dir(account) / "models"


def run_dir(account: str) -> Path:
    """Control block, shared snapshot and process files of the running trader of one account."""
    return session_dir(account) / "run"
