"""Starting workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from raylib.errors import TrainingError
from tests.training.setup import config, losses, quiet
from training.loop.launch import run


@pytest.mark.slow
def test_a_mistake_in_a_local_worker_is_one_line_and_a_bug_has_its_traceback(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tokens.json").write_text("{}")
    said = []
    for name in ("missing", "broken"):
        wrong = {"data.train": [{"path": str(tmp_path / name)}]}
        with pytest.raises(TrainingError) as raised:
            run(config(tokens, tiny_model, tmp_path / "runs", name=name, **wrong), mode="local")
        said.append(str(raised.value))
    assert said[0].startswith(f"{tmp_path / 'missing'} is not a token folder")
    assert "\n" not in said[0]
    assert said[1].startswith("worker 0 failed with an unexpected KeyError:\nTraceback")
    assert "token_set.py" in said[1]


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
        wrong = {"data.train": [{"path": str(tmp_path)}]}
        unforgiving = {**parallel, "max_failures": 0}
        bad = config(tokens, tiny_model, tmp_path / "bad", micro_batch=1, parallel=unforgiving, **wrong)
        with pytest.raises(TrainingError) as raised:
            run(bad, mode="ray")
        assert str(raised.value).startswith(f"{tmp_path} is not a token folder"), "one line, without Ray's words"
    finally:
        ray.shutdown()
