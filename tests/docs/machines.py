"""Two machines that a reader reaches by ssh: each has an address, a loopback and processes of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.raylib.cluster.hosts import can_make_hosts, with_own_ray

__all__ = ["SHARED", "as_user", "fill_in", "folder_for_all", "missing", "two_machines"]

SHARED = Path("/shared")  # the shared file system of the pages
_OURS = SHARED / ".made_by_the_tests_of_raylib"
_SWITCH, _GATE = "rl-docs", "10.78.1.254"
_MACHINES = {"rl-docs-head": "10.78.1.1", "rl-docs-worker": "10.78.1.2"}


def missing() -> str:
    """What is missing for two machines; empty if nothing is."""
    absent = [name for name in ("sshd", "rsync", "unshare", "setpriv", "ip") if not shutil.which(name)]
    if absent:
        return f"needs {', '.join(absent)}"
    if not can_make_hosts():
        return "needs root, and network namespaces"
    return "needs the folder /shared for itself" if SHARED.exists() and not _OURS.exists() else ""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def as_user(user: str, ray: Path | None) -> list[str]:
    """What comes before a command that runs as a user, with a folder in place of /tmp/ray; needs root."""
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return [*with_own_ray(ray), *become] if ray else become


def folder_for_all(folder: Path) -> Path:
    """Make a folder in which every user may write."""
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@contextmanager
def two_machines(user: str, place: Path) -> Iterator[None]:
    """Run both until the end: the user's key opens them, and a folder at the same path stands for shared storage."""
    ssh = Path(pwd.getpwnam(user).pw_dir) / ".ssh"
    ssh.mkdir(exist_ok=True)
    key = ssh / "id_ed25519"
    for file in (key, place / "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    shutil.copy(f"{key}.pub", ssh / "authorized_keys")
    Path("/run/sshd").mkdir(exist_ok=True)
    _tidy()  # after tests that were killed
    servers: list[subprocess.Popen[bytes]] = []
    try:
        SHARED.mkdir()
        _OURS.touch()
        for folder in (ssh, SHARED):
            subprocess.run(["chown", "-R", f"{user}:", str(folder)], check=True)
        _ip("link", "add", _SWITCH, "type", "bridge")
        _ip("addr", "add", f"{_GATE}/24", "dev", _SWITCH)
        _ip("link", "set", _SWITCH, "up")
        for name, address in _MACHINES.items():
            _plug_in(name, address)
            servers.append(_sshd(name, address, place))
        time.sleep(0.5)
        assert all(s.poll() is None for s in servers), [p.read_text() for p in place.glob("sshd-*.log")]
        yield
    finally:
        for server in servers:
            server.kill()  # and with it all that runs on that machine
            server.wait()
        _tidy()


def _tidy() -> None:
    """Take away both machines with all that runs on them, their network and the shared folder."""
    for name in _MACHINES:
        running = subprocess.run(["ip", "netns", "pids", name], check=False, capture_output=True, text=True)
        for pid in running.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    links = [_end(address) for address in _MACHINES.values()]
    for command in (*(("netns", "del", n) for n in _MACHINES), *(("link", "del", n) for n in (*links, _SWITCH))):
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip(*command)
    if _OURS.exists():
        shutil.rmtree(SHARED, ignore_errors=True)


def _end(address: str) -> str:
    """Name of this machine's end of a cable."""
    return f"rl-{address.rpartition('.')[2]}"


def _plug_in(name: str, address: str) -> None:
    end = _end(address)
    _ip("netns", "add", name)
    _ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", end, "netns", "1")
    _ip("link", "set", end, "master", _SWITCH, "up")
    _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    for link in ("eth0", "lo"):
        _ip("-n", name, "link", "set", link, "up")
    _ip("-n", name, "route", "add", "default", "via", _GATE)  # Ray finds a machine's address by its default route


def _sshd(name: str, address: str, place: Path) -> subprocess.Popen[bytes]:
    settings = place / f"sshd-{name}"
    settings.write_text(
        f"ListenAddress {address}:22\nHostKey {place}/host\nPidFile none\nStrictModes no\nPasswordAuthentication no\n"
        "UsePAM no\nMaxStartups 100\n"
    )
    own = ["ip", "netns", "exec", name, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    own += with_own_ray(folder_for_all(place / f"ray-{name}"))
    with (place / f"sshd-{name}.log").open("wb") as log:
        return subprocess.Popen([*own, shutil.which("sshd") or "", "-D", "-e", "-f", str(settings)], stderr=log)


def fill_in(folder: Path, user: str) -> None:
    """Fill in addresses and user in a copy's cluster.yaml, and leave out extras, as the file offers.

    The copy's environment stands for the one that each machine would make from the same commands.
    """
    file = folder / "cluster.yaml"
    text = file.read_text("utf-8")
    head, worker = _MACHINES.values()
    for written, filled in (
        ("head_ip: 192.0.2.10", f"head_ip: {head}"),
        ("worker_ips: [192.0.2.11, 192.0.2.12]", f"worker_ips: [{worker}]"),
        ("max_workers: 2", "max_workers: 1"),
        ("ssh_user: ubuntu", f"ssh_user: {user}"),
        (" EXTRAS=quality,train", ""),
    ):
        assert written in text, written
        text = text.replace(written, filled, 1)
    file.write_text(text, "utf-8")
    remote = Path(pwd.getpwnam(user).pw_dir) / "raylib"
    remote.mkdir(exist_ok=True)
    if not (remote / ".venv").is_symlink():
        (remote / ".venv").symlink_to(folder / ".venv")
    shutil.copytree(folder / "examples" / "data", SHARED / "data", dirs_exist_ok=True)
    subprocess.run(["chown", "-R", f"{user}:", str(remote), str(SHARED), str(file)], check=True)
