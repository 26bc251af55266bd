"""Several hosts on one machine: network, process and mount namespaces, joined by a bridge in a namespace of its own.

Each host has its own address, its own processes (killing the first one kills all of them, as a power cut does), its own
/tmp/ray and /dev/shm, and the same disk otherwise. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

__all__ = ["Host", "Hosts", "can_make_hosts", "with_own_ray"]

_BIN = Path(sys.executable).parent


def with_own_ray(folder: Path) -> list[str]:
    """What comes before a command that has a folder in place of /tmp/ray; needs root."""
    Path("/tmp/ray").mkdir(exist_ok=True)
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /tmp/ray && exec "$@"', str(folder)]


def can_make_hosts() -> bool:
    """Whether this machine lets us make namespaces with addresses."""
    if os.geteuid() != 0 or not all(shutil.which(t) for t in ("ip", "unshare", "nsenter", "mount")):
        return False
    name = f"raylib-probe-{secrets.token_hex(4)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    bridge = (
        made
        and subprocess.run(
            ["ip", "-n", name, "link", "add", "br0", "type", "bridge"], capture_output=True, check=False
        ).returncode
        == 0
    )
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return bridge


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


def _sleepers(pid: int) -> list[psutil.Process]:
    """The process that a host lives by, when it is there; those before it in the chain come and go."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "sleep":
                found.append(process)
    return found


@dataclass
class Host:
    """A host.

    Attributes:
        number: Its number; 0 is the head.
        prefix: Beginning of the names of all network namespaces.
        folder: Where its /tmp/ray is.
        cpu: Core that its processes are pinned to; None for any.
    """

    number: int
    prefix: str
    folder: Path
    cpu: int | None = None
    _init: subprocess.Popen[bytes] | None = None
    _pid: int = 0

    @property
    def address(self) -> str:
        return f"10.77.1.{self.number + 1}"

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.number}"

    def boot(self) -> None:
        """Start its first process, which gives it an own /proc, /tmp/ray and /dev/shm."""
        (self.folder / "ray").mkdir(parents=True, exist_ok=True)
        Path("/tmp/ray").mkdir(exist_ok=True)
        script = (
            f"mount -t proc proc /proc && mount --bind {self.folder}/ray /tmp/ray && mount -t tmpfs -o "
            "size=2g tmpfs /dev/shm && exec sleep infinity"
        )
        pin = [] if self.cpu is None else ["taskset", "-c", str(self.cpu)]
        self._init = subprocess.Popen(
            [
                *pin,
                "ip",
                "netns",
                "exec",
                self.name,
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                script,
            ],
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not (found := _sleepers(self._init.pid)):
            assert self._init.poll() is None, f"{self.name} does not boot"
            assert time.monotonic() < deadline, f"{self.name} does not boot"
            time.sleep(0.02)
        self._pid = found[0].pid

    @property
    def alive(self) -> bool:
        return self._init is not None and self._init.poll() is None

    @property
    def has_ray(self) -> bool:
        """Whether Ray runs here; a raylet that has ended stays a zombie, since nobody on this host waits for it."""
        if self._init is None:
            return False
        for process in psutil.Process(self._init.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "raylet" and process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False

    def popen(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command on this host."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        env |= {"PATH": f"{_BIN}:{env['PATH']}", "RAY_AUTH_MODE": "token", "GLOO_SOCKET_IFNAME": "eth0", **environment}
        enter = ["nsenter", "-t", str(self._pid), "-n", "-m", "-p", f"--wd={Path(__file__).parents[3]}"]
        pin = [] if self.cpu is None else ["taskset", "-c", str(self.cpu)]
        return subprocess.Popen(
            [*enter, *pin, *command], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *command: str, timeout: float = 120, **environment: str) -> str:
        """Run a command on this host to its end."""
        process = self.popen(*command, **environment)
        said, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"{self.name}: {' '.join(command)}\n{said[-4000:]}"
        return said

    def kill(self) -> None:
        """Switch it off."""
        if self._init is not None:
            if self._pid:
                os.kill(self._pid, signal.SIGKILL)
            self._init.wait(20)
            self._init, self._pid = None, 0


@dataclass
class Hosts:
    """A head without CPUs of its own and some workers; `with Hosts(folder, 2) as hosts`."""

    folder: Path
    workers: int
    cpus: int = 1
    pinned: bool = False
    hosts: list[Host] = field(default_factory=list)

    def __enter__(self) -> Hosts:
        prefix = f"rl{secrets.token_hex(4)}-"  # a process number is another one's in another namespace
        self._switch = f"{prefix}sw"
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        cores = sorted(os.sched_getaffinity(0))
        for i in range(self.workers + 1):
            cpu = cores[(i - 1) % len(cores)] if self.pinned and i else None
            host = Host(i, prefix, self.folder / f"host{i}", cpu)
            _ip("netns", "add", host.name)
            _ip("-n", host.name, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{i}", "netns", self._switch)
            _ip("-n", self._switch, "link", "set", f"p{i}", "master", "br0", "up")
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            for link in ("eth0", "lo"):
                _ip("-n", host.name, "link", "set", link, "up")
            self.hosts.append(host)
            host.boot()
        self.head.run(
            "ray",
            "start",
            "--head",
            f"--node-ip-address={self.head.address}",
            "--port=6379",
            "--num-cpus=0",
            "--include-dashboard=false",
            "--disable-usage-stats",
            "--object-store-memory=300000000",
        )
        self.ensure()
        return self

    @property
    def head(self) -> Host:
        return self.hosts[0]

    @property
    def address(self) -> str:
        return f"{self.head.address}:6379"

    def ensure(self) -> None:
        """Bring up all workers again, those that were killed as new machines."""
        for host in self.hosts[1:]:
            if not host.alive:
                host.boot()
            if not host.has_ray:
                host.run(
                    "ray",
                    "start",
                    f"--address={self.address}",
                    f"--node-ip-address={host.address}",
                    f"--num-cpus={self.cpus}",
                    "--disable-usage-stats",
                    "--object-store-memory=300000000",
                )

    def connect(self, host: Host, connected: bool) -> None:
        """Pull the network cable of a host, or put it back."""
        _ip("-n", self._switch, "link", "set", f"p{host.number}", "up" if connected else "down")

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.kill()
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self._switch], capture_output=True, check=False)
