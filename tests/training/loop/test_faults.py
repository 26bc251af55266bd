"""Kills of real processes: workers in the middle of an epoch and of a save, and everything at once, under Ray Train."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import gone
from tests.training.setup import config, losses
from training.config import TrainConfig
from training.loop.launch import run

pytestmark = [pytest.mark.slow, pytest.mark.faults]

_DRIVER = """
import json, sys
from training.config import TrainConfig
from training.loop.launch import run
run(TrainConfig.from_dict(json.loads(sys.argv[1])), mode=sys.argv[2])
"""

# dies as by the kernel's hand while one of the optimizer's files is half written, once
_DEADLY = """
import os, signal
_fsync = os.fsync
def fsync(descriptor):
    marker = os.environ.get("TEST_DIE_AT", "")
    path = os.readlink(f"/proc/self/fd/{descriptor}") if isinstance(descriptor, int) else ""
    if marker and "step-6.tmp" in path and "optim_states" in path and os.path.exists(marker):
        os.unlink(marker)
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    _fsync(descriptor)
os.fsync = fsync
"""


def made(tokens: dict[str, str], tokenizer: Path, out: Path) -> TrainConfig:
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no"}
    return config(tokens, tokenizer, out, steps=14, save_every=3, micro_batch=1, parallel=parallel)


@pytest.fixture(scope="module")
def expected(tokens: dict[str, str], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    out = tmp_path_factory.mktemp("whole")
    run(made(tokens, tiny_model, out), mode="local")
    return losses(out / "run")


def begin(wanted: TrainConfig, mode: str, **environment: str) -> subprocess.Popen[bytes]:
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | environment
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, json.dumps(wanted.describe()), mode], start_new_session=True, env=env
    )


def wait_for(lines: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while not (lines.is_file() and lines.read_text().count("\n") >= count):
        assert time.monotonic() < deadline, "the run did not get that far"
        time.sleep(0.02)


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [c for c in psutil.Process(process.pid).children(recursive=True) if "RayTrainWorker" in command_of(c)]


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""  # gone meanwhile


@pytest.mark.long
@pytest.mark.cluster
def test_ray_restarts_workers_killed_in_an_epoch_and_in_a_save(
    expected: list[float], tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_DEADLY)
    marker = tmp_path / "die"
    marker.touch()
    process = begin(made(tokens, tiny_model, tmp_path), "ray", PYTHONPATH=str(tmp_path), TEST_DIE_AT=str(marker))
    lines = tmp_path / "run" / "metrics.jsonl"
    wait_for(lines, 2)
    os.kill(workers_of(process)[-1].pid, signal.SIGKILL)
    assert process.wait(180) == 0
    assert not marker.exists(), "a worker died while it saved"
    assert losses(tmp_path / "run") == expected
    held = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert held == ["final", "step-12", "step-14", "step-9"]


@pytest.mark.long
@pytest.mark.cluster
def test_everything_is_killed_at_once(
    expected: list[float], tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    process = begin(made(tokens, tiny_model, tmp_path), "ray")
    wait_for(tmp_path / "run" / "metrics.jsonl", 8)
    everything = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    assert {"raylet", "gcs_server"} <= {p.name() for p in everything}
    for p in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            p.kill()
    process.wait(30)
    begin(made(tokens, tiny_model, tmp_path), "ray").wait(180)
    assert losses(tmp_path / "run") == expected


@pytest.mark.long
def test_a_run_killed_in_a_save_goes_on_from_the_one_before(
    expected: list[float], tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_DEADLY)
    marker = tmp_path / "die"
    marker.touch()
    before = set(os.listdir("/dev/shm"))
    process = begin(made(tokens, tiny_model, tmp_path), "local", PYTHONPATH=str(tmp_path), TEST_DIE_AT=str(marker))
    assert process.wait(180) != 0
    assert not marker.exists()
    assert not {n for n in set(os.listdir("/dev/shm")) - before if "deepspeed" in n}, "killed workers leave no memory"
    held: set[str] = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert held == {"step-3", "step-6.tmp"}
    said: list[Any] = []
    result = run(made(tokens, tiny_model, tmp_path), mode="local", say=said.append)
    assert result.finished
    assert losses(tmp_path / "run") == expected
    assert not list((tmp_path / "run" / "checkpoints").glob("*.tmp"))


def test_a_killed_command_leaves_no_worker(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    parallel = {"workers": 2, "gpus": "no"}
    wanted = config(tokens, tiny_model, tmp_path, steps=5000, micro_batch=1, parallel=parallel)
    process = begin(wanted, "local")
    try:
        children: list[psutil.Process] = []
        deadline = time.monotonic() + 120
        while len(children) < 3 and time.monotonic() < deadline:  # a launcher and two workers
            children = [c for c in psutil.Process(process.pid).children(recursive=True) if "training" in command_of(c)]
            time.sleep(0.1)
        assert len(children) == 3
    finally:
        process.kill()
        process.wait()
    assert all(gone(child.pid, 60) for child in children)
