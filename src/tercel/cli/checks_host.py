"""Checks of the machine: processors, memory, limits, disk, clock, disturbance. Each returns a `Finding`."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import struct
import sys
import time
from pathlib import Path
from typing import Final

from tercel.base.paths import home
from tercel.base.time import NS_PER_MS, NS_PER_S, clock_ns
from tercel.cli.findings import Finding, judge

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB

MEMORY_MIN, MEMORY_COMFORT = 512 * MIB, 2 * GIB
DISK_MIN, DISK_COMFORT = 1 * GIB, 10 * GIB
FILES_MIN, FILES_COMFORT = 256, 4096
CLOCK_STEP_NS_MAX: Final = 1_000
JITTER_RUN_NS: Final = 250 * NS_PER_MS
JITTER_GAP_NS: Final = 100_000  # longer than this between two clock reads: somebody else had the processor
JITTER_WORST_NS_MAX: Final = 10 * NS_PER_MS
JITTER_SHARE_MAX: Final = 0.02
CLOCK_UNSYNCHRONISED: Final = 5  # TIME_ERROR of adjtimex(2)


def existing_parent(path: Path) -> Path:
    """The path itself, or its nearest ancestor that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def cpu() -> Finding:
    """Processors this process may use, and whether they have the vector units the compiled code is fastest with."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flags = _cpu_flags()
    units = [unit for unit in ("avx2", "fma", "avx512f", "asimd") if unit in flags]
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    slow = governor in ("powersave", "ondemand", "conservative")
    text = f"{count} usable, {' '.join(units) or 'no vector units found'}{f', governor {governor}' if governor else ''}"
    remedy = "give the trader two processors or more"
    if slow:
        remedy = "set the frequency governor to performance: cpupower frequency-set -g performance"
    return judge("cpu", text, warn=count < 2 or slow or (bool(flags) and not units), remedy=remedy)


def memory() -> Finding:
    """Memory that can still be had, the limit of the container included."""
    import psutil

    available, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    for limit_file, used_file in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        limit, used = _read(limit_file), _read(used_file)
        if limit.isdigit() and int(limit) < total:
            total, available = int(limit), min(available, int(limit) - int(used or 0))
    text = f"{available / GIB:.1f} of {total / GIB:.1f} GiB available"
    remedy = "end other programs or use a larger machine"
    return judge("memory", text, fail=available < MEMORY_MIN, warn=available < MEMORY_COMFORT, remedy=remedy)


def disk() -> Finding:
    """Room where Tercel keeps its things."""
    free = shutil.disk_usage(existing_parent(home())).free
    remedy = f"make room under {home()}, or point TERCEL_HOME at a larger disk"
    return judge("disk", f"{free / GIB:.1f} GiB free", fail=free < DISK_MIN, warn=free < DISK_COMFORT, remedy=remedy)


def files() -> Finding:
    """How many files and connections one process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{soft} open files allowed, {hard} at most"
    return judge("files", text, fail=soft < FILES_MIN, warn=soft < FILES_COMFORT, remedy=f"ulimit -n {FILES_COMFORT} before the start")


def clock() -> Finding:
    """The step of the monotonic clock, and whether the kernel believes its wall clock."""
    step_ns = round(time.get_clock_info("perf_counter").resolution * NS_PER_S)
    synchronised, error_us = _kernel_time()
    wall = {
        True: f"wall clock synchronised, off by {error_us / 1000:.1f} ms at most",
        False: "wall clock not synchronised",
        None: "synchronisation of the wall clock unknown",
    }[synchronised]
    remedy = "run a time service (chrony or systemd-timesyncd): feed latencies and day rolls use the wall clock"
    return judge("clock", f"step {step_ns} ns, {wall}", fail=step_ns > CLOCK_STEP_NS_MAX, warn=synchronised is not True, remedy=remedy)


def jitter() -> Finding:
    """How often, and for how long, something else takes the processor away: a busy loop over a quarter of a second."""
    worst = lost = 0
    start = last = clock_ns()
    while last - start < JITTER_RUN_NS:
        now = clock_ns()
        if now - last > JITTER_GAP_NS:
            worst, lost = max(worst, now - last), lost + now - last
        last = now
    share = lost / (last - start)
    text = f"processor away {share:.2%} of {JITTER_RUN_NS // NS_PER_MS} ms, {worst / NS_PER_MS:.1f} ms at the longest"
    remedy = "end other work on this machine, or pin the trader to a processor of its own"
    return judge("jitter", text, warn=worst > JITTER_WORST_NS_MAX or share > JITTER_SHARE_MAX, remedy=remedy)


def _kernel_time() -> tuple[bool | None, int]:
    """(synchronised or None when it cannot be known, largest error in microseconds) by adjtimex(2), which needs no privilege to read."""
    if not sys.platform.startswith("linux") or struct.calcsize("l") != 8:
        return None, 0
    timex = ctypes.create_string_buffer(512)  # struct timex is 208 bytes; modes = 0 asks and changes nothing
    try:
        state = ctypes.CDLL(None).adjtimex(timex)
    except (AttributeError, OSError):
        return None, 0
    if state < 0:
        return None, 0
    _modes, _offset, _frequency, error_us, _estimate, _status = struct.unpack_from("i4x4qi", timex)
    return state != CLOCK_UNSYNCHRONISED, int(error_us)


def _cpu_flags() -> set[str]:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith(("flags", "Features")):
            return set(line.partition(":")[2].split())
    return set()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
