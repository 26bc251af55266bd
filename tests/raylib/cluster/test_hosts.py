"""Three hosts: machines that are lost, a network that is cut, while data is cleaned and a model trained."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from tests.raylib.cluster.hosts import Hosts, can_make_hosts
from tests.raylib.engine.test_kill import STAGES, content, make_input
from tests.training.setup import config, losses, token_sets
from training.config import TrainConfig
from training.loop.launch import run as train

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.faults,
    pytest.mark.skipif(not can_make_hosts(), reason="needs root and network namespaces"),
]
_TRAIN = "import json, sys; from training.config import TrainConfig; from training.loop.launch import run; run(TrainConfig.from_dict(json.loads(sys.argv[1])), mode='ray', address=sys.argv[2])"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
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
    (folder / "recipe.yaml").write_text(f"input: {{path: {folder}/in.jsonl}}\noutput: {{path: {folder}/out}}\nengine: {{batch_mb: 0.8}}\nstages:{STAGES}")  # fmt: skip
    run(Recipe.from_file(folder / "recipe.yaml", {"output.path": f"{folder}/reference", "engine.mode": "inline"}))
    return folder, content(folder / "reference")


def reached(folder: Path, phase: str, count: int) -> bool:
    manifest = folder / "out" / "manifest.jsonl"
    return manifest.is_file() and manifest.read_bytes().count(b'"phase":"' + phase.encode()) >= count


@pytest.mark.parametrize(
    ("fault", "phase", "count"),
    [("kill", "s0", 5), ("kill", "r1.0", 1), ("cut", "s0", 3)],
    ids=["killed_while_cleaning", "killed_in_the_shuffle", "cut_off_for_20_seconds"],
)
def test_a_worker_is_lost_and_the_output_is_the_same(hosts: Hosts, scene: tuple[Path, dict[str, bytes]], fault: str, phase: str, count: int) -> None:  # fmt: skip
    folder, expected = scene
    hosts.ensure()
    process = hosts.head.popen("python", "-m", "raylib", "run", str(folder / "recipe.yaml"), "--fresh", "-q", "--address", hosts.address)  # fmt: skip
    deadline = time.monotonic() + 90
    while not reached(folder, phase, count):
        assert process.poll() is None and time.monotonic() < deadline, "too late for the fault"
        time.sleep(0.01)
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
    ids = [*pq.read_table(folder / "out" / "kept")["id"].to_pylist(), *pq.read_table(folder / "out" / "rejected")["id"].to_pylist()]  # fmt: skip
    assert len(ids) == len(set(ids)) == summary["records_in"] == 30_001


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(hosts: Hosts, scene: tuple[Path, dict[str, bytes]]) -> None:
    folder, expected = scene
    hosts.ensure()
    small = hosts.folder / "small"
    command = ["python", "-m", "raylib", "run", str(folder / "recipe.yaml"), "-q", "--address", hosts.address, "--set", f"output.path={small}/out"]  # fmt: skip
    process = hosts.head.popen(*command)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert f"error: cannot write to {small}/out" in said and "No space left on device" in said, said
    assert "quarantined" not in said and len(said.splitlines()) < 5, said
    assert (small / "out" / "manifest.jsonl").read_bytes().count(b'"phase":"s0"') > 1, "what was committed is kept"
    subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
    hosts.head.run(*command, timeout=200)
    assert content(small / "out") == expected


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[dict[str, str], list[float]]:
    """Token folders, and the losses of an undisturbed run of two workers on one machine."""
    folder = tmp_path_factory.mktemp("trained")
    tokens = token_sets(folder, tiny_model)
    train(wanted(tokens, tiny_model, folder), mode="local")
    return tokens, losses(folder / "run")


def wanted(tokens: dict[str, str], tokenizer: Path, out: Path, **more: int) -> TrainConfig:
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no", **more}
    return config(tokens, tokenizer, out, steps=40, save_every=5, micro_batch=1, parallel=parallel)


def launch(hosts: Hosts, made: TrainConfig) -> subprocess.Popen[str]:
    return hosts.head.popen("python", "-c", _TRAIN, json.dumps(made.describe()), hosts.address)


def wait_for_steps(process: subprocess.Popen[str], lines: Path, count: int) -> None:
    deadline = time.monotonic() + 300
    while not (lines.is_file() and lines.read_text().count("\n") >= count):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0][-4000:]
        time.sleep(0.02)


def test_training_goes_on_with_a_replaced_machine(hosts: Hosts, trained: tuple[dict[str, str], list[float]], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    tokens, expected = trained
    hosts.ensure()
    process = launch(hosts, wanted(tokens, tiny_model, tmp_path))
    wait_for_steps(process, tmp_path / "run" / "metrics.jsonl", 12)
    hosts.hosts[2].kill()
    time.sleep(3)
    hosts.ensure()  # another machine in its place
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-4000:]
    assert losses(tmp_path / "run") == expected, "bit for bit, across machines and a lost one"


def test_training_goes_on_with_the_machine_that_is_left(hosts: Hosts, trained: tuple[dict[str, str], list[float]], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    tokens, expected = trained
    hosts.ensure()
    process = launch(hosts, wanted(tokens, tiny_model, tmp_path, min_workers=1))
    wait_for_steps(process, tmp_path / "run" / "metrics.jsonl", 12)
    hosts.hosts[1].kill()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-4000:]
    assert losses(tmp_path / "run") == pytest.approx(expected, abs=1e-4)
    assert orjson.loads((tmp_path / "run" / "run.json").read_bytes())["workers"] == 1
