"""Starting workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import yaml

from raylib.errors import LockedError, TrainingError
from raylib.locking import LOCK_NAME
from tests.training.setup import config, losses, quiet
from training.loop.launch import run


@pytest.mark.slow
def test_a_mistake_in_a_local_worker_is_one_line_and_a_bug_has_its_traceback(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"data.train": [{"path": tokens["preference"]}]}
    with pytest.raises(TrainingError, match=r"^objective sft cannot learn from preference") as mistake:
        run(config(tokens, tiny_model, tmp_path / "runs", name="mistake", **wrong), mode="local")
    assert "\n" not in str(mistake.value)
    (tmp_path / "sitecustomize.py").write_text(
        "from training.loop import phase\n"
        "def broken(*args, **kwargs):\n"
        "    raise KeyError('a bug of ours')\n"
        "phase.run = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TrainingError, match=r"^worker 0 failed with an unexpected KeyError:\nTraceback") as bug:
        run(config(tokens, tiny_model, tmp_path / "runs", name="bug"), mode="local")
    assert "in broken" in str(bug.value)


def test_lines_are_logged_when_nobody_else_takes_them(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="training"):
        run(config(tokens, tiny_model, tmp_path, steps=1))
    assert any(line.startswith("step 1/1  loss") for line in caplog.messages)


@pytest.mark.slow
def test_lines_of_several_workers_name_their_worker() -> None:
    code = (
        "import logging; from training.loop.logs import log_to_console\n"
        "log_to_console(1, 2); logging.getLogger('training.loop.guards').error('it hangs')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[worker 1] it hangs\n"


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("mode", ["here", "local", pytest.param("ray", marks=[pytest.mark.cluster, pytest.mark.long])])
def test_a_terminated_run_ends_its_workers_and_says_how_to_continue(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path, mode: str
) -> None:
    parallel = {"backend": "plain", "gpus": "no"}
    wanted = config(tokens, tiny_model, tmp_path, steps=20_000, micro_batch=1, parallel=parallel)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(wanted.describe()))
    command = [sys.executable, "-m", "raylib", "train", str(tmp_path / "train.yaml"), "--mode", mode]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment) as process,
        ExitStack() as ended,
    ):
        ended.callback(process.kill)
        wait_for(tmp_path / "run" / "metrics.jsonl", process)
        family = psutil.Process(process.pid).children(recursive=True)
        with pytest.raises(LockedError, match=f"pid {process.pid} on host"):
            run(wanted, mode="here")
        process.terminate()
        assert process.wait(120) == 143
    lines = (tmp_path / "said").read_text().splitlines()
    assert lines[-1] == "interrupted; run the same command again to continue"
    ours = [line for line in lines if " pid=" not in line]  # Ray's actors have their own warnings
    assert not any(word in line for line in ours for word in ("Traceback", "***", "PC:"))
    _, left = psutil.wait_procs(family, timeout=60)
    assert left == []
    assert not (tmp_path / "run" / LOCK_NAME).exists()


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 400  # Ray Train starts several actors, one after the other
    while not file.exists() or not file.stat().st_size:
        assert process.poll() is None, "the run ended before its first step"
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.cluster
def test_ray_train_starts_the_same_run(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    ray.shutdown()
    changes: dict[str, Any] = {"steps": 4, "save_every": 2}
    run(config(tokens, tiny_model, tmp_path / "plain", **changes), say=quiet)
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no"}
    try:
        result = run(
            config(tokens, tiny_model, tmp_path / "ray", micro_batch=1, parallel=parallel, **changes), mode="ray"
        )
        assert result.finished
        assert result.step == 4
        assert losses(tmp_path / "ray" / "run") == pytest.approx(losses(tmp_path / "plain" / "run"), abs=1e-4)
        wrong = {"data.train": [{"path": tokens["preference"]}]}
        unforgiving = {**parallel, "max_failures": 0}
        bad = config(tokens, tiny_model, tmp_path / "bad", micro_batch=1, parallel=unforgiving, **wrong)
        with pytest.raises(TrainingError) as raised:
            run(bad, mode="ray")
        assert str(raised.value).startswith("objective sft cannot learn from preference"), "without Ray's words"
        assert "\n" not in str(raised.value)
    finally:
        ray.shutdown()
