"""SIGKILL at random moments to driver, actor or raylet. Run again: the same bytes, nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil
import pyarrow.parquet as pq
import pytest

from tests.raylib.engine.large_input import content

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.cluster]
ROOT = Path(__file__).parents[3]
# How many kills of each kind; benchmarks set 20, the suite one of each.
KILLS = int(os.environ.get("RAYLIB_TEST_KILLS", "1"))


def start(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, "-m", "raylib", "run", str(folder / "recipe.yaml"), "-q", *more],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def committed(folder: Path) -> int:
    manifest = folder / "out" / "manifest.jsonl"
    return manifest.read_bytes().count(b'"shard"') if manifest.exists() else 0


def find(process: subprocess.Popen[bytes], matches: Callable[[str], bool]) -> psutil.Process | None:
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            if matches(" ".join(child.cmdline()) or child.name()):
                return child
    except psutil.Error:
        pass
    return None


def kill(process: subprocess.Popen[bytes], what: str) -> bool:
    if what == "driver":
        os.kill(process.pid, signal.SIGKILL)
        return True
    wanted = {"actor": lambda c: c.startswith("ray::WorkerActor"), "raylet": lambda c: "raylet/raylet" in c}[what]
    victim = find(process, wanted)
    if victim is None:
        return False
    victim.send_signal(signal.SIGKILL)
    return True


def orphans_gone(folder: Path) -> None:
    """A killed driver leaves its cluster behind for a moment; Ray's processes notice and end by themselves."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        left = [p for p in psutil.process_iter(["name"]) if (p.info["name"] or "").startswith("ray::WorkerActor")]
        if not left:
            return
        time.sleep(0.3)


@pytest.mark.parametrize(
    "what", ["driver", *(pytest.param(what, marks=pytest.mark.long) for what in ("actor", "raylet"))]
)
@pytest.mark.parametrize("round_number", [0, *(pytest.param(i, marks=pytest.mark.long) for i in range(1, KILLS))])
def test_killed_and_run_again(scene: tuple[Path, dict[str, bytes]], what: str, round_number: int) -> None:
    folder, expected = scene
    rng = random.Random(f"{what}-{round_number}")
    shards = 105  # three segments of about 30 shards, and the rounds between them
    process = start(folder, "--fresh")
    moment = rng.randrange(shards)
    while process.poll() is None and committed(folder) < moment:
        time.sleep(0.01)
    time.sleep(rng.random() * 0.1)
    hit = process.poll() is None and kill(process, what)
    process.wait(timeout=90)  # a lost raylet is noticed
    assert process.stderr is not None
    process.stderr.close()
    orphans_gone(folder)
    if what == "actor" and hit:
        assert process.returncode == 0, "Ray restarts the actor and the run goes on"
    again = start(folder)
    _, errors = again.communicate(timeout=180)
    assert again.returncode == 0, errors.decode()[-2000:]
    assert content(folder / "out") == expected
    summary = orjson.loads((folder / "out" / "summary.json").read_bytes())
    assert summary["records_in"] == summary["records_kept"] + summary["records_rejected"] == 30_001
    ids = [*pq.read_table(folder / "out" / "kept")["id"].to_pylist()]
    ids += pq.read_table(folder / "out" / "rejected")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 30_001
