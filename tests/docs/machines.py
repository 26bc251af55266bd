"""Two machines that a reader reaches by ssh: sshd at loopback addresses, each with processes of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.raylib.cluster.work import HEAD, WORKER

__all__ = ["SHARED", "fill_in", "missing", "two_machines"]

SHARED = Path("/shared")  # the shared file system of the pages


def missing() -> str:
    """What is missing for two machines; empty if nothing is."""
    if os.geteuid() != 0:
        return "needs root, for sshd at loopback addresses"
    absent = [name for name in ("sshd", "rsync", "unshare") if not shutil.which(name)]
    return f"needs {', '.join(absent)}" if absent else "needs the folder /shared" if SHARED.exists() else ""


@contextmanager
def two_machines(user: str, place: Path) -> Iterator[None]:
    """Run both until the end: the user's key opens them, and a folder at the same path stands for shared storage."""
    account = pwd.getpwnam(user)
    ssh = Path(account.pw_dir) / ".ssh"
    ssh.mkdir(exist_ok=True)
    key = ssh / "id_ed25519"
    for file in (key, place / "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    shutil.copy(f"{key}.pub", ssh / "authorized_keys")
    SHARED.mkdir()
    for folder in (ssh, SHARED):
        subprocess.run(["chown", "-R", f"{user}:", str(folder)], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    servers = [_sshd(address, place) for address in (HEAD, WORKER)]
    time.sleep(0.5)
    try:
        assert all(s.poll() is None for s in servers), [p.read_text() for p in place.glob("sshd-*.log")]
        yield
    finally:
        for server in servers:
            server.kill()  # and with it all that runs on that machine
            server.wait()
        shutil.rmtree(SHARED)


def _sshd(address: str, place: Path) -> subprocess.Popen[bytes]:
    settings = place / f"sshd-{address}"
    settings.write_text(
        f"ListenAddress {address}:22\nHostKey {place}/host\nPidFile none\nStrictModes no\nPasswordAuthentication no\n"
        "UsePAM no\nMaxStartups 100\n"
    )
    # each machine has its own processes: `ray stop` on one does not see those of the other
    own = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with (place / f"sshd-{address}.log").open("wb") as log:
        return subprocess.Popen([*own, shutil.which("sshd") or "", "-D", "-e", "-f", str(settings)], stderr=log)


def fill_in(folder: Path, user: str) -> None:
    """Fill in addresses and user in a copy's cluster.yaml, and leave out extras, as the file offers.

    The copy's environment stands for the one that each machine would make from the same commands.
    """
    file = folder / "cluster.yaml"
    text = file.read_text("utf-8")
    for written, filled in (
        ("head_ip: 192.0.2.10", f"head_ip: {HEAD}"),
        ("worker_ips: [192.0.2.11, 192.0.2.12]", f"worker_ips: [{WORKER}]"),
        ("max_workers: 2", "max_workers: 1"),
        ("ssh_user: ubuntu", f"ssh_user: {user}"),
        (" EXTRAS=quality,train", ""),
    ):
        assert written in text, written
        text = text.replace(written, filled, 1)
    file.write_text(text, "utf-8")
    remote = Path(pwd.getpwnam(user).pw_dir) / "raylib"
    remote.mkdir(exist_ok=True)
    link = remote / ".venv"
    if not link.is_symlink():
        link.symlink_to(folder / ".venv")
    shutil.copytree(folder / "examples" / "data", SHARED / "data", dirs_exist_ok=True)
    subprocess.run(["chown", "-R", f"{user}:", str(remote), str(SHARED), str(file)], check=True)
