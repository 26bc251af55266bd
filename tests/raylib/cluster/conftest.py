"""Clusters, machines, and undisturbed runs to compare with."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylib.cluster.local import LocalCluster
from raylib.engine import run
from raylib.recipe import Recipe
from tests.raylib.cluster.hosts import Hosts, with_own_ray
from tests.raylib.cluster.work import HEAD, RECIPES_AT_ONCE, WORKER, long_training
from tests.raylib.engine.large_input import STAGES, content, make_input
from tests.training.setup import losses, token_sets
from training.loop.launch import run as train


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Three hosts that share a small volume."""
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "small").mkdir()  # a small volume that all hosts see
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder / "small")], check=True)
    try:
        with Hosts(folder, workers=2) as made:
            yield made
    finally:
        subprocess.run(["umount", "-l", str(folder / "small")], check=True)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Input, recipe, and the output of a run that nobody disturbed, on no cluster at all."""
    folder = tmp_path_factory.mktemp("scene")
    make_input(folder / "in.jsonl", 30_000)
    (folder / "recipe.yaml").write_text(
        f"input: {{path: {folder}/in.jsonl}}\noutput: {{path: {folder}/out}}\nengine: {{batch_mb: "
        f"0.8}}\nstages:{STAGES}"
    )
    run(Recipe.from_file(folder / "recipe.yaml", {"output.path": f"{folder}/reference", "engine.mode": "inline"}))
    return folder, content(folder / "reference")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[dict[str, str], list[float]]:
    """Token folders, and the losses of an undisturbed run of two workers on one machine."""
    folder = tmp_path_factory.mktemp("trained")
    tokens = token_sets(folder, tiny_model)
    train(long_training(tokens, tiny_model, folder), mode="local")
    return tokens, losses(folder / "run")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a local cluster with two CPUs for each of the recipes that run at once."""
    made = LocalCluster(
        num_cpus=2 * RECIPES_AT_ONCE, object_store_memory=600 << 20
    )  # CPUs are tickets: each recipe takes two
    made.start()
    while (address := made.address(wait=1)) is None:
        continue
    yield address
    made.stop()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Private key and remote home of an sshd whose sessions have another home and no path to our environment."""
    key, host, home = tmp_path / "key", tmp_path / "host", tmp_path / "home"
    home.mkdir()
    (home / ".ray").mkdir()
    for file in (key, host):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    (tmp_path / "authorized").write_bytes((tmp_path / "key.pub").read_bytes())
    Path("/run/sshd").mkdir(exist_ok=True)
    servers = []
    # each machine has its own processes, and its own note of the cluster that it belongs to: `ray stop` on one neither
    # sees the processes of the other nor removes its note
    for address in (HEAD, WORKER):
        (tmp_path / f"ray-{address}").mkdir()
        settings = tmp_path / f"sshd-{address}"
        settings.write_text(
            f"ListenAddress {address}:22\nHostKey {host}\nAuthorizedKeysFile {tmp_path}/authorized\nPidFile none\n"
            "StrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nMaxStartups 100\n"
            f"SetEnv HOME={home} PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        )
        command = [
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            *with_own_ray(tmp_path / f"ray-{address}"),
            shutil.which("sshd") or "",
            "-D",
            "-e",
            "-f",
            str(settings),
        ]
        with (tmp_path / f"sshd-{address}.log").open("wb") as log:
            servers.append(subprocess.Popen(command, stderr=log))
    time.sleep(0.5)
    assert all(s.poll() is None for s in servers), [p.read_text() for p in tmp_path.glob("sshd-*.log")]
    # the head reaches the workers with the key that Ray puts into its home; ssh asks the password file where that is
    link = Path(pwd.getpwuid(os.getuid()).pw_dir) / "ray_bootstrap_key.pem"
    link.unlink(missing_ok=True)
    link.symlink_to(home / link.name)
    yield key, home
    link.unlink(missing_ok=True)
    for server in servers:
        server.kill()  # and with it all that runs on that machine
        server.wait()
