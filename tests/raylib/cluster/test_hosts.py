"""Three hosts: machines that are lost, a network that is cut, while data is cleaned and a model trained."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from tests.raylib.cluster.hosts import Hosts, can_make_hosts
from tests.raylib.cluster.work import long_training
from tests.raylib.engine.large_input import content
from tests.training.setup import losses
from training.config import TrainConfig

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.faults,
    pytest.mark.skipif(not can_make_hosts(), reason="needs root and network namespaces"),
]
_TRAIN = (
    "import json, sys; from training.config import TrainConfig; from training.loop.launch import run; "
    "run(TrainConfig.from_dict(json.loads(sys.argv[1])), mode='ray', address=sys.argv[2])"
)


def reached(folder: Path, phase: str, count: int) -> bool:
    manifest = folder / "out" / "manifest.jsonl"
    return manifest.is_file() and manifest.read_bytes().count(b'"phase":"' + phase.encode()) >= count


def begin(hosts: Hosts, folder: Path) -> subprocess.Popen[str]:
    """Start the run anew; the manifest of an earlier test would tell of its moments."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    recipe = str(folder / "recipe.yaml")
    return hosts.head.popen("python", "-m", "raylib", "run", recipe, "-q", "--address", hosts.address)


def wait_for(process: subprocess.Popen[str], moment: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not moment():
        assert process.poll() is None, "too late for the fault"
        assert time.monotonic() < deadline, "too late for the fault"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("fault", "phase", "count"),
    [("kill", "s0", 5), ("kill", "r1.0", 1), ("cut", "s0", 3)],
    ids=["killed_while_cleaning", "killed_in_the_shuffle", "cut_off_for_20_seconds"],
)
def test_a_worker_is_lost_and_the_output_is_the_same(
    hosts: Hosts, scene: tuple[Path, dict[str, bytes]], fault: str, phase: str, count: int
) -> None:
    folder, expected = scene
    hosts.ensure()
    process = begin(hosts, folder)
    wait_for(process, lambda: reached(folder, phase, count))
    victim = hosts.hosts[2]
    if fault == "kill":
        victim.kill()
    else:
        hosts.connect(victim, False)
        time.sleep(20)
        hosts.connect(victim, True)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-4000:]
    assert content(folder / "out") == expected
    summary = orjson.loads((folder / "out" / "summary.json").read_bytes())
    ids = [
        *pq.read_table(folder / "out" / "kept")["id"].to_pylist(),
        *pq.read_table(folder / "out" / "rejected")["id"].to_pylist(),
    ]
    assert len(ids) == len(set(ids)) == summary["records_in"] == 30_001


def test_a_run_that_has_lost_all_machines_says_so_and_goes_on_when_one_is_back(
    hosts: Hosts, scene: tuple[Path, dict[str, bytes]]
) -> None:
    folder, expected = scene
    hosts.ensure()
    process = begin(hosts, folder)
    wait_for(process, lambda: reached(folder, "s0", 3))
    for host in hosts.hosts[1:]:
        host.kill()
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if "no worker has been there for" in line:
            break
    assert "the cluster has 0 machines with CPUs now" in said[-1], "".join(said)
    hosts.ensure()
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == 0, rest[-4000:]
    assert "a worker is there again" in rest
    assert content(folder / "out") == expected


def test_a_full_disk_stops_the_run_until_there_is_room(hosts: Hosts, scene: tuple[Path, dict[str, bytes]]) -> None:
    folder, expected = scene
    hosts.ensure()
    small = hosts.folder / "small"
    command = [
        "python",
        "-m",
        "raylib",
        "run",
        str(folder / "recipe.yaml"),
        "-q",
        "--address",
        hosts.address,
        "--set",
        f"output.path={small}/out",
        "--set",
        "output.check_space=false",
    ]
    process = hosts.head.popen(*command)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert f"error: cannot write to {small}/out" in said, said
    assert "No space left on device" in said, said
    assert "quarantined" not in said, said
    assert len(said.splitlines()) < 5, said
    assert (small / "out" / "manifest.jsonl").read_bytes().count(b'"phase":"s0"') > 1, "what was committed is kept"
    subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
    hosts.head.run(*command, timeout=200)
    assert content(small / "out") == expected


def launch(hosts: Hosts, made: TrainConfig) -> subprocess.Popen[str]:
    return hosts.head.popen("python", "-c", _TRAIN, json.dumps(made.describe()), hosts.address)


def wait_for_steps(process: subprocess.Popen[str], lines: Path, count: int) -> None:
    deadline = time.monotonic() + 300
    while not (lines.is_file() and lines.read_text().count("\n") >= count):
        assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < deadline, "training is too slow"
        time.sleep(0.02)


def test_training_continues_with_a_replaced_machine(
    hosts: Hosts, trained: tuple[dict[str, str], list[float]], tiny_model: Path, tmp_path: Path
) -> None:
    tokens, expected = trained
    hosts.ensure()
    process = launch(hosts, long_training(tokens, tiny_model, tmp_path))
    wait_for_steps(process, tmp_path / "run" / "metrics.jsonl", 9)
    hosts.hosts[2].kill()
    time.sleep(3)
    hosts.ensure()  # another machine in its place
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-4000:]
    assert losses(tmp_path / "run") == expected, "bit for bit, across machines and a lost one"


def test_training_continues_with_the_machine_that_is_left(
    hosts: Hosts, trained: tuple[dict[str, str], list[float]], tiny_model: Path, tmp_path: Path
) -> None:
    tokens, expected = trained
    hosts.ensure()
    process = launch(hosts, long_training(tokens, tiny_model, tmp_path, min_workers=1))
    wait_for_steps(process, tmp_path / "run" / "metrics.jsonl", 9)
    hosts.hosts[1].kill()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-4000:]
    assert losses(tmp_path / "run") == pytest.approx(expected, abs=1e-4)
    assert orjson.loads((tmp_path / "run" / "run.json").read_bytes())["workers"] == 1
