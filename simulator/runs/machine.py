"""What this process may take of the machine: memory and processors.

A job of a cluster and a container are told neither by the machine's own numbers: their limits
stand in control groups, for memory as bytes, for processors as microseconds of work in a period.
A limit holds for all groups below, so the tightest on the way up counts.

    cgroup v2   /sys/fs/cgroup/<path>/{memory.max, memory.current, cpu.max}
    cgroup v1   /sys/fs/cgroup/memory/<path>/memory.limit_in_bytes, cpu/<path>/cpu.cfs_quota_us

Every function takes the root of the file system, so that a test can plant these files.
"""

import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory", "cores", "physical_memory", "warn_of_threads"]

LOG = logging.getLogger("purify")
ROOT = Path("/")

_warned = False


def physical_memory(root: Path = ROOT) -> float:
    """Return the bytes that this process may ever take; infinite where nothing says so."""
    return min(_machine_memory(), *(limit for limit, _ in _memory_groups(root)), math.inf)


def available_memory(root: Path = ROOT) -> float:
    """Return the bytes that can be taken now without hurting others."""
    free = min((limit - used for limit, used in _memory_groups(root)), default=math.inf)
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = min(free, 1024.0 * float(line.split()[1]))
    return max(0.0, min(free, physical_memory(root)))


def cores(root: Path = ROOT) -> int:
    """Return how many processors this process may keep busy, at least 1."""
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([float(most or 1), *_cpu_quotas(root)])))


def warn_of_threads(threads: int, root: Path = ROOT) -> None:
    """Say once if a run has more BLAS threads than processors to itself.

    The threads of a product wait for each other by spinning: where one of them has to wait for a
    processor, all others burn theirs, and a run with two threads takes many times longer than
    with one.
    """
    global _warned
    free = min(cores(root), max(1, (os.cpu_count() or 1) - _busy(root)))
    if threads > free and not _warned:
        _warned = True
        LOG.warning("threads: %d asked for, %d processor%s free: products may get many times "
                    "slower than with --threads %d (whose last bits differ)", threads, free,
                    " is" if free == 1 else "s are", free)


def _machine_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return math.inf


def _memory_groups(root: Path) -> Iterator[tuple[float, float]]:
    """Limit and use of every memory group above this process; file cache is no use."""
    for group in _groups(root, "memory"):
        for limit, used, cache in (("memory.max", "memory.current", "inactive_file"),
                                   ("memory.limit_in_bytes", "memory.usage_in_bytes",
                                    "total_inactive_file")):
            bound = _number(group / limit)
            if bound is not None:
                cached = (line.split()[1] for line in _lines(group / "memory.stat")
                          if line.startswith(f"{cache} "))
                yield bound, max(0.0, (_number(group / used) or 0.0) - float(next(cached, 0.0)))


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Processors' worth of time of every group above this process that has a limit."""
    for group in _groups(root, "cpu"):
        for line in _lines(group / "cpu.max"):
            quota, _, period = line.partition(" ")
            if quota != "max":
                yield float(quota) / float(period or 100_000)
        slice_, period_ = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        if slice_ is not None and period_ and slice_ > 0.0:
            yield slice_ / period_


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process, each with those above it.

    A container may see its own group as the mount's root while ``/proc`` names it from the
    outside: what is missing on the way up is passed over.
    """
    mount = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            tops = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            tops = [mount / controllers, mount / controller]
        else:
            continue
        place = Path(path.lstrip("/"))
        for top in tops:
            yield from (top / part for part in (place, *place.parents))


def _busy(root: Path) -> int:
    """Processors that others keep busy: over the last minute, and at this moment too.

    Either alone would count the run that just ended, or a blink.
    """
    for line in _lines(root / "proc/loadavg"):
        minute, _, _, running, *_ = line.split()
        return min(round(float(minute)), int(running.partition("/")[0]) - 1)
    return 0


def _number(path: Path) -> float | None:
    for line in _lines(path):
        return None if line == "max" else float(line)
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
