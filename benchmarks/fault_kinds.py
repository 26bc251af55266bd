"""Faults of the campaign: signals to processes of a run, volumes that are full or read-only, damage to its files."""

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
from fault_works import Work, environment
from measure import ROOT

__all__ = ["FILES", "KINDS", "MOUNTS", "Running", "inject"]

_VICTIMS: dict[str, Callable[[str], bool]] = {
    "actor": lambda line: line.startswith("ray::WorkerActor"),
    "raylet": lambda line: "raylet/raylet" in line,
    "gcs": lambda line: "gcs_server" in line,
    "reader": lambda line: line.startswith("ray::") and "WorkerActor" not in line,
    "agent": lambda line: "dashboard/agent" in line or "runtime_env/agent" in line,
    "helper": lambda line: "loky" in line or "resource_tracker" in line or "raylib.cluster" in line,
}
SIGNALS = ("kill driver", *(f"kill {victim}" for victim in _VICTIMS), "stop driver", "stop actor", "stop gcs")
MOUNTS = ("disk full", "read-only", "shm full")
FILES = ("flip", "truncate", "delete", "torn manifest", "flipped manifest")
KINDS = (*SIGNALS, *MOUNTS, *FILES, "memory", "two drivers")


@dataclass
class Running:
    """A command that is being disturbed.

    Attributes:
        work: What it does.
        out: Its output folder.
        process: The command, or the shell in whose namespace it runs.
        pause: Seconds for which a stopped process sleeps.
    """

    work: Work
    out: Path
    process: subprocess.Popen[str]
    pause: float

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
        found = []
        for process in _below(self.process.pid):
            try:
                line = " ".join(process.cmdline()) or process.name()
            except psutil.Error:
                continue
            if _VICTIMS[victim](line):
                found.append(process)
        return rng.choice(found) if found else None


def _below(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return found
    except psutil.Error:
        return []


def start(work: Work, out: Path, kind: str, rng: random.Random, *, fresh: bool = False) -> subprocess.Popen[str]:
    """Start the command of a case, where its kind wants it in namespaces of its own, or with a limit."""
    command = [*work.command(out), *(["--fresh"] if fresh else [])]
    if kind in MOUNTS:
        command = _mounted(command, out, kind, int(work.bytes * rng.uniform(0.05, 0.95)))
    limits = _limit_memory if kind == "memory" else None
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limits,  # noqa: PLW1509 - this program has no threads
    )


def _limit_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (900 << 20, 900 << 20))


def _mounted(command: list[str], out: Path, kind: str, room: int) -> list[str]:
    """The command in a mount namespace, in which the output, or /dev/shm, is a small volume.

    What is in the volume when it ends is copied out, so that the next run finds it.
    """
    saved = f"{out}-saved"
    place = "/dev/shm" if kind == "shm full" else str(out)
    size = {"shm full": "2m", "disk full": f"{room}", "read-only": "500m"}[kind]
    quoted = " ".join(f"'{part}'" for part in command)
    script = (
        f"mkdir -p '{out}' && mount -t tmpfs -o size={size} tmpfs {place} && {quoted}; code=$?; "
        f"rm -rf '{saved}'; cp -a '{out}' '{saved}'; exit $code"
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def after(out: Path) -> None:
    """Put back what a volume of a namespace held."""
    saved = Path(f"{out}-saved")
    if saved.exists():
        shutil.rmtree(out, ignore_errors=True)
        saved.rename(out)


def inject(kind: str, running: Running, rng: random.Random) -> bool:
    """Do what the kind says; returns whether there was anything to do it to."""
    action, _, victim = kind.partition(" ")
    if kind in SIGNALS:
        found = running.find(victim, rng)
        if found is None:
            return False
        return _killed(found) if action == "kill" else _stopped(found, running.pause)
    if kind == "read-only":
        driver = running.driver
        if driver is None:
            return False
        enter = ["nsenter", "-t", str(driver.pid), "-m", "mount", "-o", "remount,ro", str(running.out)]
        return subprocess.run(enter, capture_output=True, check=False).returncode == 0
    if kind in FILES:
        driver = running.driver
        return driver is not None and _killed(driver)
    return kind in ("disk full", "shm full", "memory")


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


def end_all(process: subprocess.Popen[str]) -> None:
    """End a command that hangs, with everything that it started."""
    left = _below(process.pid)
    for one in left:
        _killed(one)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
