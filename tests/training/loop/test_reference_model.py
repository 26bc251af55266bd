"""Reference log-probabilities: those of the beginning, precomputed or online."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylib.errors import TrainingError
from tests.training.setup import config, losses, metrics, quiet
from training.loop.launch import run


@pytest.mark.slow
def test_dpo_prefers_what_it_was_taught(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "objective": "dpo",
        "steps": 12,
        "optimizer.learning_rate": 2e-3,
        "data.evaluation": [{"path": tokens["preference"]}],
        "evaluate_every": 6,
    }
    run(config(tokens, tiny_model, tmp_path / "a", **changes), say=quiet)
    found = metrics(tmp_path / "a" / "run")
    assert found[0]["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert found[-1]["rewards/accuracies"] > 0.6
    assert found[-1]["rewards/margins"] > found[0]["rewards/margins"]
    online = config(tokens, tiny_model, tmp_path / "b", **{**changes, "dpo.reference": "online"})
    run(online, say=quiet)
    for x, y in zip(found, metrics(tmp_path / "b" / "run"), strict=True):
        assert x["loss"] == pytest.approx(y["loss"], abs=1e-5), "precomputed and online references agree (trap 19)"
    with pytest.raises(TrainingError, match="cannot learn from"):
        run(
            config(tokens, tiny_model, tmp_path / "c", objective="dpo", **{"data.train": [{"path": tokens["sft"]}]}),
            say=quiet,
        )


@pytest.mark.slow
def test_the_reference_is_that_of_the_beginning_after_a_resume(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"objective": "dpo", "steps": 8, "save_every": 2, "optimizer.learning_rate": 2e-3}
    run(config(tokens, tiny_model, tmp_path / "whole", **changes), say=quiet)

    def die(line: str) -> None:
        if line.startswith("step 5/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(tokens, tiny_model, tmp_path / "cut", **changes), say=die)
    run(config(tokens, tiny_model, tmp_path / "cut", **changes), say=quiet)
    assert losses(tmp_path / "cut" / "run") == losses(tmp_path / "whole" / "run")
