"""Checks of the machine: processors, memory, limits, disk, clock, disturbance. Each returns a `Finding`."""

from __future__ import annotations

import ctypes
import os
import re
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
PROCESSES_MIN, PROCESSES_COMFORT = 64, 512  # threads count, too: a trader and its desk have some thirty
CLOCK_STEP_NS_MAX: Final = 1_000
CLOCK_ERROR_US_MAX: Final = 1_000_000  # the kernel's own bound grows by 0.5 ms a second until a time service resets it
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
    text = f"{count} usable, {' '.join(units) or 'no vector units found'}"
    remedy = "give the trader two processors or more, on a machine made in the last ten years"
    return judge("cpu", text, warn=count < 2 or (bool(flags) and not units), remedy=remedy)


def hints() -> Finding:
    """What a machine made for steady latencies has and nothing needs: a fixed frequency, processors set aside. Never a warning."""
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    isolated = _read("/sys/devices/system/cpu/isolated")
    pages = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled"))
    said = [
        f"frequency governor {governor or 'not shown'}{'' if governor in ('performance', '') else ' (performance is steadier)'}",
        f"isolated processors {isolated or 'none'}",
        f"transparent huge pages {pages[1] if pages else 'not shown'}",
    ]
    return judge("hints", ", ".join(said), remedy="")


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


def limits() -> Finding:
    """How many files and connections a process may have open, how many processes and threads this user, how much memory may be locked."""
    files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, locked = resource.getrlimit(resource.RLIMIT_NPROC)[0], resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    text = (
        f"{_bound(files)} open files ({_bound(hard)} at most), {_bound(processes)} processes, locked memory {_bound(locked, MIB, ' MiB')}"
    )
    lacking = []
    if _below(files, FILES_COMFORT):
        lacking.append(f"ulimit -n {FILES_COMFORT}")
    if _below(processes, PROCESSES_COMFORT):
        lacking.append(f"ulimit -u {PROCESSES_COMFORT}")
    remedy = f"{' and '.join(lacking)} before the start; nothing here locks memory"
    failing = _below(files, FILES_MIN) or _below(processes, PROCESSES_MIN)
    return judge("limits", text, fail=failing, warn=bool(lacking), remedy=remedy)


def _below(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted


def _bound(limit: int, unit: int = 1, name: str = "") -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else f"{limit / unit:,.0f}{name}"


def clock() -> Finding:
    """The step of the monotonic clock, and whether the kernel believes its wall clock."""
    step_ns = round(time.get_clock_info("perf_counter").resolution * NS_PER_S)
    synchronised, error_us, estimate_us = _kernel_time()
    wall = {
        True: f"wall clock synchronised, off by about {estimate_us / 1000:.1f} ms and at most {error_us / 1000:.1f} ms",
        False: "wall clock not synchronised",
        None: "synchronisation of the wall clock unknown",
    }[synchronised]
    remedy = "run a time service (chrony or systemd-timesyncd): feed latencies and day rolls use the wall clock"
    return judge(
        "clock",
        f"step {step_ns} ns, {wall}",
        fail=step_ns > CLOCK_STEP_NS_MAX,
        warn=synchronised is not True or error_us > CLOCK_ERROR_US_MAX,
        remedy=remedy,
    )


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


def _kernel_time() -> tuple[bool | None, int, int]:
    """(synchronised or None when it cannot be known, largest and likely error in us) by adjtimex(2), which needs no privilege to read."""
    if not sys.platform.startswith("linux") or struct.calcsize("l") != 8:
        return None, 0, 0
    timex = ctypes.create_string_buffer(512)  # struct timex is 208 bytes; modes = 0 asks and changes nothing
    try:
        state = ctypes.CDLL(None).adjtimex(timex)
    except (AttributeError, OSError):
        return None, 0, 0
    if state < 0:
        return None, 0, 0
    _modes, _offset, _frequency, error_us, estimate_us, _status = struct.unpack_from("i4x4qi", timex)
    return state != CLOCK_UNSYNCHRONISED, int(error_us), int(estimate_us)


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
