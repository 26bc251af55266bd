"""What this process may use of its machine: processors and memory, by affinity and by control groups.

A container or a batch job often sees all cores and all memory of its host, and is held to a share of them.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cpus", "memory", "memory_limit"]

_ROOT = Path("/")
_UNIFIED = ("sys/fs/cgroup", "sys/fs/cgroup/unified")  # version 2, alone or beside version 1
_CPU = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")  # version 1
_MEMORY = ("sys/fs/cgroup/memory",)
_NONE = 1 << 60  # version 1 writes a number near 2**63 where there is no limit


def cpus(root: Path = _ROOT) -> int:
    """Number of processors that this process may use at the same time; at least 1.

    Args:
        root: Where the file system begins.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _cpu_quota(root))))


def _cpu_quota(root: Path) -> float:
    """The smallest share of time of this group and those above it, in processors; infinite without one."""
    least = math.inf
    for folder in _groups(root, "", _UNIFIED):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            least = min(least, int(quota) / int(period))
    for folder in _groups(root, "cpu", _CPU):
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():  # -1 is no limit
            least = min(least, int(quota) / int(period))
    return least


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes of memory that a control group holds this process to; None without one.

    Args:
        root: Where the file system begins.
    """
    names = [folder / "memory.max" for folder in _groups(root, "", _UNIFIED)]
    names += [folder / "memory.limit_in_bytes" for folder in _groups(root, "memory", _MEMORY)]
    found = [int(text) for text in map(_text, names) if text.isdigit() and int(text) < _NONE]
    return min(found, default=None)


def memory(root: Path = _ROOT) -> int:
    """Bytes of memory that this process and those that it starts may use together.

    Args:
        root: Where the file system begins.
    """
    installed = os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()
    return min(installed, memory_limit(root) or installed)


def _groups(root: Path, controller: str, mounts: tuple[str, ...]) -> Iterator[Path]:
    """Folders of the control group of this process and of those above it, as far as they are visible.

    Args:
        root: Where the file system begins.
        controller: Name of a controller of version 1; empty for version 2.
        mounts: Where they may be mounted.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        own = Path(path.lstrip("/"))
        for mount in mounts:
            # in a container the path is often one of the host, and only the topmost folder is there
            yield from (root / mount / part for part in (own, *own.parents) if (root / mount / part).is_dir())


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
