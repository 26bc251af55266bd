"""Starting workers with Ray Train: on a machine with another Ray, and with fewer GPUs than workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylib.errors import TrainingError
from tests.training.setup import config, losses
from training.loop.ray_launch import takes_gpus

_OTHER = """
import sys, ray
ray.init("local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
print("up", flush=True)
sys.stdin.read()
"""
_DRIVER = """
import json, sys
from training.config import TrainConfig
from training.loop.launch import run
run(TrainConfig.from_dict(json.loads(sys.argv[1])), mode="ray")
"""


@pytest.fixture
def another_ray() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", _OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        yield
        process.communicate(timeout=60)


@pytest.mark.long
@pytest.mark.cluster
@pytest.mark.usefixtures("another_ray")
def test_another_ray_is_not_asked_whether_the_run_lives(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    wanted = config(tokens, tiny_model, tmp_path, steps=4, parallel={"gpus": "no"})
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, json.dumps(wanted.describe())],
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "PlacementGroupCleaner" not in said, "it says nothing unless something is wrong"
    assert len(losses(tmp_path / "run")) == 4


@pytest.mark.parametrize(
    ("parallel", "there", "joined", "takes"),
    [
        ({"gpus": "no"}, 8, True, False),
        ({"gpus": "auto"}, 0, True, False),
        ({"gpus": "auto"}, 0, False, False),
        ({"gpus": "auto"}, 8, True, True),
        ({"gpus": "auto", "workers": 4}, 1, True, True),
        ({"gpus": "yes"}, 0, True, True),
        ({"gpus": "yes"}, 1, False, True),
        ({"gpus": "yes", "workers": 4, "min_workers": 2}, 2, False, True),
    ],
)
def test_workers_take_gpus_of_the_cluster(
    parallel: dict[str, object],
    there: int,
    joined: bool,
    takes: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wanted = config({"sft": ""}, tmp_path, tmp_path, micro_batch=1, parallel={"backend": "deepspeed", **parallel})
    assert takes_gpus(wanted, there, joined=joined) is takes
    silent = parallel["gpus"] == "no" or not joined or there >= wanted.parallel.workers
    assert bool(caplog.messages) is not silent, caplog.messages


@pytest.mark.parametrize(
    ("there", "said"), [(0, "has 0; set parallel.gpus=no"), (1, "has 1; set parallel.workers=1, or parallel.gpus=no")]
)
def test_workers_that_would_wait_for_ever_are_an_error(there: int, said: str, tmp_path: Path) -> None:
    parallel = {"backend": "deepspeed", "workers": 2, "gpus": "yes"}
    with pytest.raises(TrainingError, match=f"^parallel.workers: 2 workers need a GPU each, but this machine {said}"):
        takes_gpus(config({"sft": ""}, tmp_path, tmp_path, parallel=parallel), there, joined=False)
