"""Processors and memory that a process may use: affinity, and control groups of both versions."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylib import machine

ALLOWED = len(os.sched_getaffinity(0))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "cpus", "limit"),
    [
        ({}, ALLOWED, None),
        ({"proc/self/cgroup": "0::/"}, ALLOWED, None),
        (
            {
                "proc/self/cgroup": "0::/job/step",
                "sys/fs/cgroup/job/cpu.max": "100000 100000",
                "sys/fs/cgroup/job/step/cpu.max": "max 100000",
                "sys/fs/cgroup/job/step/memory.max": "max",
                "sys/fs/cgroup/job/memory.max": "734003200",
            },
            1,
            734003200,
        ),
        (  # a container: the path is that of the host, its own limits are at the top
            {
                "proc/self/cgroup": "4:memory:/docker/a1\n1:cpu,cpuacct:/docker/a1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000",
            },
            1,
            10**9,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n1:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            ALLOWED,
            None,
        ),
    ],
)
def test_limits_of_control_groups(tmp_path: Path, files: dict[str, str], cpus: int, limit: int | None) -> None:
    root = write(tmp_path, files)
    assert machine.cpus(root) == cpus
    assert machine.memory_limit(root) == limit
    assert machine.memory(root) == (limit or machine.memory(Path("/nowhere")))


def test_a_quota_gives_part_of_a_processor_a_whole_one(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1000 100000"})
    assert machine.cpus(root) == 1


SHOW = [sys.executable, "-c", "from raylib import machine; print(machine.cpus(), machine.memory_limit())"]


def test_one_allowed_core() -> None:
    core = min(os.sched_getaffinity(0))
    said = subprocess.run(["taskset", "-c", str(core), *SHOW], capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == "1"


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of memory, of version 1, where this machine lets us make one."""
    place = Path("/sys/fs/cgroup/memory") / f"raylib-{uuid.uuid4().hex}"
    try:
        place.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    yield place
    place.rmdir()


def test_a_real_control_group(group: Path) -> None:
    (group / "memory.limit_in_bytes").write_text(str(800 << 20))
    enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *SHOW]
    assert subprocess.run(enter, capture_output=True, text=True, check=True).stdout.split()[1] == str(800 << 20)
