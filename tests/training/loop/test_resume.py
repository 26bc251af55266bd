"""Continuing killed runs, also with fewer workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.training.setup import SHAPES, config, losses, metrics, quiet
from training.config import TrainConfig
from training.loop.launch import run


@pytest.mark.slow
def test_a_killed_run_continues_bit_for_bit(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "epochs": 1.5,
        "steps": 0,
        "save_every": 3,
        "keep": 2,
        "model.shape": {**SHAPES["llama"], "attention_dropout": 0.1},
    }
    whole = run(config(tokens, tiny_model, tmp_path / "whole", **changes), say=quiet)
    expected = [(m["step"], m["loss"], m["lr"], m["tokens"]) for m in metrics(tmp_path / "whole" / "run")]
    assert whole.step > 6

    class Killed(Exception): ...

    for stop in (4, 7):

        def die(line: str, stop: int = stop) -> None:
            if line.startswith(f"step {stop}/"):
                raise Killed

        with pytest.raises(Killed):
            run(config(tokens, tiny_model, tmp_path / f"cut{stop}", **changes), say=die)
        run(config(tokens, tiny_model, tmp_path / f"cut{stop}", **changes), say=quiet)
        got = [(m["step"], m["loss"], m["lr"], m["tokens"]) for m in metrics(tmp_path / f"cut{stop}" / "run")]
        assert got == expected, "the same losses, rates and tokens to the last bit"
    a, b = (
        torch.load(tmp_path / n / "run" / "checkpoints" / f"step-{whole.step}" / "state.pt", weights_only=True)
        for n in ("whole", "cut4")
    )
    assert all(torch.equal(a["module"][k], b["module"][k]) for k in a["module"])


@pytest.mark.slow
def test_phases_resume_in_the_middle(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    phases = [
        {"name": n, "train": [{"path": tokens[k]}], "steps": 4} for n, k in (("easy", "sft"), ("hard", "pretrain"))
    ]
    run(config(tokens, tiny_model, tmp_path / "whole", phases=phases, save_every=2), say=quiet)

    def die(line: str) -> None:
        if line.startswith("hard step 3/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(tokens, tiny_model, tmp_path / "cut", phases=phases, save_every=2), say=die)
    run(config(tokens, tiny_model, tmp_path / "cut", phases=phases, save_every=2), say=quiet)
    assert losses(tmp_path / "cut" / "run") == losses(tmp_path / "whole" / "run")


_DRIVER = """
import sys, json
from training.config import TrainConfig
from training.loop.launch import run
run(TrainConfig.from_dict(json.loads(sys.argv[1])), mode="local")
"""


@pytest.mark.long
@pytest.mark.faults
def test_killed_workers_resume_bit_for_bit_under_zero_2(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    def made(out: Path) -> TrainConfig:
        parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2}
        return config(tokens, tiny_model, out, steps=14, save_every=3, micro_batch=1, parallel=parallel)

    run(made(tmp_path / "whole"), mode="local")
    expected = losses(tmp_path / "whole" / "run")
    for where, kill_worker in (("driver", False), ("worker", True)):
        out = tmp_path / where
        process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER, json.dumps(made(out).describe())], start_new_session=True
        )
        lines = out / "run" / "metrics.jsonl"
        for _ in range(600):
            if lines.is_file() and lines.read_text().count("\n") >= 5:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the run did not begin")
        family = psutil.Process(process.pid).children(recursive=True)
        if kill_worker:
            workers = [
                p
                for p in family
                if "training.loop.worker" in " ".join(p.cmdline())
                and "torch.distributed.run" not in " ".join(p.cmdline())
            ]
            os.kill(workers[-1].pid, signal.SIGKILL)
            process.wait(60)
        else:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
            for p in family:
                if p.is_running():
                    p.kill()
        run(made(out), mode="local")
        assert losses(out / "run") == expected, where


@pytest.mark.long
@pytest.mark.parametrize("stage", [2, 3])
def test_a_run_continues_with_fewer_workers(
    stage: int, tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    def made(out: Path, workers: int) -> TrainConfig:
        parallel = {"backend": "deepspeed", "workers": workers, "zero_stage": stage}
        return config(tokens, tiny_model, out, steps=8, save_every=4, micro_batch=1, parallel=parallel)

    run(made(tmp_path / "whole", 2), mode="local")
    expected = losses(tmp_path / "whole" / "run")
    run(made(tmp_path / "cut", 2), mode="local")
    for name in ("step-8", "final"):  # as if it had been killed after its first checkpoint
        shutil.rmtree(tmp_path / "cut" / "run" / "checkpoints" / name)
    run(made(tmp_path / "cut", 1), mode="local")
    got = metrics(tmp_path / "cut" / "run")
    assert [m["loss"] for m in got] == pytest.approx(expected, abs=1e-4)
    assert json.loads((tmp_path / "cut" / "run" / "run.json").read_text())["workers"] == 1


@pytest.mark.slow
def test_a_run_resumes_from_before_its_first_evaluation(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"save_every": 1, "data.evaluation": [{"path": tokens["pretrain"]}]}

    def die(line: str) -> None:
        if line.startswith("step 3/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(tokens, tiny_model, tmp_path, **changes), say=die)
    assert run(config(tokens, tiny_model, tmp_path, **changes), say=quiet).finished
    assert (tmp_path / "run" / "checkpoints" / "best").is_dir()
