"""Faults of the campaign: signals to processes, small volumes, a little memory, a bad network, damage to files."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from fault_places import MemoryLimit, can_mount, host_command, memory_folder, slow_down
from fault_works import Work, environment
from measure import ROOT

from tests.raylib.cluster.hosts import Hosts, can_make_hosts

__all__ = [
    "FILES",
    "KINDS",
    "MOUNTS",
    "NEEDS_RAY",
    "NETWORK",
    "SIGNALS",
    "Running",
    "Surroundings",
    "after",
    "damage",
    "end",
    "felt",
    "impossible",
    "inject",
    "start",
]

_VICTIMS: dict[str, Callable[[str], bool]] = {
    "actor": lambda line: line.startswith("ray::WorkerActor"),
    "raylet": lambda line: line.split(" ")[0].endswith("/raylet"),
    "gcs": lambda line: line.split(" ")[0].endswith("/gcs_server"),
    "reader": lambda line: line.startswith("ray::without_skipped"),
    "agent": lambda line: line.startswith(("ray::DashboardAgent", "ray::RuntimeEnvAgent")),
    "trainer": lambda line: "training.loop.worker" in line and "torch.distributed.run" not in line,
}
NEEDS_RAY = ("kill actor", "kill raylet", "kill gcs", "kill reader", "kill agent", "stop actor", "stop gcs", "shm full")
NETWORK = ("network cut", "network slow")
MOUNTS = ("disk full", "read-only", "shm full")
FILES = ("flip", "truncate", "delete", "torn manifest", "flipped manifest")
SIGNALS = ("kill driver", "stop driver", "kill trainer", *(kind for kind in NEEDS_RAY if kind != "shm full"))
KINDS = (*SIGNALS, *MOUNTS, *FILES, "memory", "two drivers", *NETWORK)

_OPERATOR = 8  # looks after a machine whose network is back
_APPEARS = 60.0  # seconds within which a victim has to appear


def impossible(kind: str) -> str:
    """Why a kind of fault cannot be made on this machine; empty if it can."""
    if kind in MOUNTS and not can_mount():
        return "this user cannot mount volumes"
    if kind == "memory" and memory_folder() is None:
        return "no cgroup of memory can be made here"
    if kind in NETWORK and not can_make_hosts():
        return "no network namespaces can be made here"
    return ""


@dataclass
class Running:
    """A command that is being disturbed.

    Attributes:
        work: What it does.
        out: Its output folder.
        process: The command, or the shell in whose namespace it runs.
        pause: Seconds for which a stopped process sleeps, and for which the network is bad.
        memory: The cgroup in which it runs.
        hosts: The hosts on which it runs.
    """

    work: Work
    out: Path
    process: subprocess.Popen[str]
    pause: float
    memory: MemoryLimit | None = None
    hosts: Hosts | None = None

    @property
    def driver(self) -> psutil.Process | None:
        """The process of raylib."""
        try:
            own = psutil.Process(self.process.pid)
            found: list[psutil.Process] = [own, *own.children(recursive=True)]
            return next((p for p in found if "-m raylib" in " ".join(p.cmdline()) and p.name() != "sh"), None)
        except psutil.Error:
            return None

    def find(self, victim: str, rng: random.Random) -> psutil.Process | None:
        """One of its processes."""
        if victim == "driver":
            return self.driver
        found = [one for one in _named(_VICTIMS[victim]) if self._started(one)]
        return rng.choice(found) if found else None

    def _started(self, process: psutil.Process) -> bool:
        """Whether a process is below the command."""
        try:
            return any(parent.pid == self.process.pid for parent in process.parents())
        except psutil.Error:
            return False

    def await_victim(self, victim: str, rng: random.Random) -> psutil.Process | None:
        """One of its processes, which may start after the moment that was drawn."""
        deadline = time.monotonic() + _APPEARS
        while time.monotonic() < deadline and self.process.poll() is None:
            if (found := self.find(victim, rng)) is not None:
                return found
            time.sleep(0.005)
        return None


def _named(wanted: Callable[[str], bool]) -> list[psutil.Process]:
    """All processes whose command line is wanted; reads no more than that line, since some live for moments."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError, psutil.Error):
            line = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
            if wanted(line):
                found.append(psutil.Process(int(folder.name)))
    return found


def below(pid: int) -> list[psutil.Process]:
    """All processes that a process started."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return found
    except psutil.Error:
        return []


@dataclass
class Surroundings:
    """Where a command runs.

    Attributes:
        kind: Kind of the fault that will come; empty for none.
        inline: Whether a run does without Ray.
        room: Bytes of its volume, or of its memory.
        hosts: Hosts of a cluster; only for faults of the network.
    """

    kind: str = ""
    inline: bool = True
    room: int = 0
    hosts: Hosts | None = None


def start(work: Work, out: Path, where: Surroundings, pause: float, *options: str) -> Running:
    """Start the command of a case, where its kind wants it in a place of its own."""
    command = work.command(out, *(work.inline() if where.inline else []), *options)
    if where.hosts is not None and where.kind in NETWORK:
        return Running(work, out, host_command(where.hosts, command), pause, hosts=where.hosts)
    memory = MemoryLimit(where.room) if where.kind == "memory" else None
    if where.kind in MOUNTS:
        command = _mounted(command, out, where)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=memory.enter if memory else None,  # noqa: PLW1509 - this program has no threads
    )
    return Running(work, out, process, pause, memory)


def _mounted(command: list[str], out: Path, where: Surroundings) -> list[str]:
    """The command in a mount namespace, in which the output, or /dev/shm, is a small volume.

    What an earlier run has left is copied into the volume, and what is in it at the end is copied out.
    """
    quoted = " ".join(f"'{part}'" for part in command)
    if where.kind == "shm full":
        script = f"mount -t tmpfs -o size=2m tmpfs /dev/shm && {quoted}"
    else:
        there = sum(path.stat().st_blocks * 512 + 4096 for path in out.rglob("*")) if out.exists() else 0
        size = there + (where.room if where.kind == "disk full" else 500 << 20)
        out.mkdir(exist_ok=True)
        out.rename(f"{out}-before")
        script = (
            f"mkdir '{out}' && mount -t tmpfs -o size={size} tmpfs '{out}' && cp -a '{out}-before/.' '{out}' && "
            f"{quoted}; code=$?; rm -rf '{out}-saved'; cp -a '{out}' '{out}-saved'; exit $code"
        )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def after(out: Path) -> None:
    """Put back what a volume of a namespace held."""
    shutil.rmtree(f"{out}-before", ignore_errors=True)
    saved = Path(f"{out}-saved")
    if saved.exists():
        shutil.rmtree(out, ignore_errors=True)
        saved.rename(out)


def inject(kind: str, running: Running, rng: random.Random) -> bool:
    """Do what the kind says; returns whether there was anything to do it to."""
    action, _, victim = kind.partition(" ")
    if kind in SIGNALS:
        found = running.await_victim(victim, rng)
        if found is None:
            return False
        return _killed(found) if action == "kill" else _stopped(found, running.pause)
    if kind in NETWORK:
        return _bad_network(kind, running)
    driver = running.driver
    if driver is None:
        return False
    if kind == "read-only":
        return _read_only(driver, running.out)
    if kind == "shm full":
        held = os.statvfs(f"/proc/{driver.pid}/root/dev/shm")
        return held.f_blocks * held.f_frsize <= 2 << 20
    return kind in FILES and _killed(driver)


def _read_only(driver: psutil.Process, out: Path) -> bool:
    """Make the volume read-only; where a file is being written, for everything that is opened from now on."""
    enter = ["nsenter", "-t", str(driver.pid), "-m", "sh", "-c"]
    again = f"mount -o remount,ro '{out}' || (mount --bind '{out}' '{out}' && mount -o remount,ro,bind '{out}')"
    return subprocess.run([*enter, again], capture_output=True, check=False).returncode == 0


def felt(kind: str, running: Running, hit: bool) -> bool:
    """Whether the command met the fault, as far as one can tell when it has ended."""
    if kind in ("disk full", "read-only"):
        return running.process.returncode != 0
    if kind == "memory":  # a process was killed
        return running.memory is not None and running.memory.killed > 0
    return hit


def _killed(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.Error:
        return False
    return True


def _stopped(process: psutil.Process, seconds: float) -> bool:
    try:
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
    except psutil.Error:
        return False
    return True


def _bad_network(kind: str, running: Running) -> bool:
    hosts = running.hosts
    if hosts is None:
        return False
    worker = hosts.hosts[-1]
    if kind == "network cut":
        hosts.connect(worker, False)
        time.sleep(running.pause)
        hosts.connect(worker, True)
        for _ in range(_OPERATOR):  # the cluster has given the machine up, and Ray on it ends: somebody starts it again
            time.sleep(2)
            hosts.ensure()
        return True
    slow_down(hosts, worker, True)
    time.sleep(running.pause)
    slow_down(hosts, worker, False)
    return True


def damage(kind: str, out: Path, rng: random.Random) -> str:
    """Damage files that a killed command has left; returns which."""
    if kind in ("torn manifest", "flipped manifest"):
        file = out / "manifest.jsonl"
    else:
        files = [p for d in ("kept", "rejected", ".work") for p in sorted((out / d).rglob("*")) if p.is_file()]
        files = [p for p in files if p.stat().st_size]
        if not files:
            return ""
        file = rng.choice(files)
    if not file.exists() or not file.stat().st_size:
        return ""
    data = bytearray(file.read_bytes())
    if kind == "delete":
        file.unlink()
    elif kind in ("truncate", "torn manifest"):
        file.write_bytes(data[: rng.randrange(len(data))])
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)
    return str(file.relative_to(out))


def end(process: subprocess.Popen[str]) -> None:
    """End a command that hangs, with everything that it started."""
    for one in below(process.pid):
        _killed(one)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
