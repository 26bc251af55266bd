"""Ray Train on a machine with another Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.setup import config, losses

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
