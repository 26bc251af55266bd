"""Places in which the fault campaign runs commands: a cgroup with little memory, hosts with a bad network."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import psutil

from tests.raylib.cluster.hosts import Host, Hosts

__all__ = ["Family", "MemoryLimit", "can_mount", "host_command", "memory_folder", "slow_down"]

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


def can_mount() -> bool:
    """Whether this user may mount volumes in a namespace of his own."""
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "mount")):
        return False
    command = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def memory_folder() -> Path | None:
    """The folder in which cgroups of memory can be made: of version 1, or of version 2."""
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        if (first / "memory.limit_in_bytes").exists() and os.access(first, os.W_OK):
            return first
        if "memory" in (second / "cgroup.subtree_control").read_text() and os.access(second, os.W_OK):
            return second
    return None


class MemoryLimit:
    """A cgroup in which processes that want more than some bytes are killed."""

    def __init__(self, limit: int) -> None:
        parent = memory_folder()
        if parent is None:
            raise RuntimeError("no cgroup of memory can be made here")
        self.folder = parent / f"raylib-faults-{secrets.token_hex(6)}"
        self.folder.mkdir()
        self._first = (self.folder / "memory.limit_in_bytes").exists()
        (self.folder / ("memory.limit_in_bytes" if self._first else "memory.max")).write_text(str(limit))

    def enter(self) -> None:
        """Put the process that calls this into it."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def killed(self) -> int:
        """Number of processes that the kernel ended in it."""
        events = self.folder / ("memory.oom_control" if self._first else "memory.events")
        fields = dict(line.split() for line in events.read_text().splitlines())
        return int(fields.get("oom_kill", 0))

    def remove(self) -> None:
        """Remove it, when its processes have ended."""
        for _ in range(50):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.1)


def host_command(hosts: Hosts, command: list[str]) -> subprocess.Popen[str]:
    """Start a command of raylib on the head of a cluster."""
    hosts.ensure()
    return hosts.head.popen(*command, "--address", hosts.address)


def slow_down(hosts: Hosts, host: Host, slow: bool) -> None:
    """Make the network of a host slow, late and unreliable where the kernel can, or else just narrow; or mend it."""
    inside = ["ip", "netns", "exec", host.name, "tc", "qdisc"]
    if not slow:
        subprocess.run([*inside, "del", "dev", "eth0", "root"], capture_output=True, check=False)
        return
    for rule in ("netem delay 200ms 50ms loss 3%", "tbf rate 2mbit burst 32kbit latency 400ms"):
        command = [*inside, "add", "dev", "eth0", "root", *rule.split()]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
    raise RuntimeError("this kernel has neither netem nor tbf")


class Family:
    """The processes that the commands of this program started, also those whose parents have ended.

    This program becomes the parent of all orphans below it, so that it can end its own and nobody else's.
    """

    def __init__(self) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
        self.spared: set[psutil.Process] = set()

    def spare(self) -> None:
        """Leave alone what has been started by now."""
        self.spared = set(psutil.Process().children())

    def _left(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for child in psutil.Process().children():
            if child in self.spared:
                continue
            with contextlib.suppress(psutil.Error):
                if child.status() == psutil.STATUS_ZOMBIE:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(child.pid, os.WNOHANG)
                    continue
                found += [child, *child.children(recursive=True)]
        return found

    def end(self, patience: float) -> list[str]:
        """Wait for what is left to end by itself, then end it.

        Args:
            patience: Seconds to wait.

        Returns:
            Names of the processes that had to be ended.
        """
        deadline = time.monotonic() + patience
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.1)
        names = []
        for _ in range(20):
            if not left:
                break
            for process in left:
                with contextlib.suppress(psutil.Error):
                    names.append(process.name())
                    process.kill()
            time.sleep(0.1)
            left = self._left()
        return sorted(set(names))
