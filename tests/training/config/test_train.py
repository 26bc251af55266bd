"""Configurations: errors name the key, and the ready ones are valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from raylib.errors import TrainingError
from training.config import TrainConfig


def test_wrong_configurations_are_named(tmp_path: Path) -> None:
    good = {"objective": "sft", "output": str(tmp_path)}
    for change, words in (
        ({"optimiser": {}}, "did you mean 'optimizer'"),
        ({"optimizer": {"learning_rat": 1}}, "optimizer.learning_rat"),
        ({"data": {"train": [{"pat": "x"}]}}, r"data.train\[0\].pat"),
        ({"batch": 6, "micro_batch": 4}, "multiple of"),
        ({"objective": "ppo"}, "objective"),
        ({"optimizer": {"learning_rate": -1}}, "optimizer.learning_rate"),
        ({"parallel": {"backend": "plain", "workers": 2}, "micro_batch": 2, "batch": 4}, "one process"),
    ):
        with pytest.raises(TrainingError, match=words):
            TrainConfig.from_dict({**good, **change}, "x.yaml")
    (tmp_path / "bad.yaml").write_text("a: [", "utf-8")
    with pytest.raises(TrainingError, match="not YAML"):
        TrainConfig.from_file(tmp_path / "bad.yaml")
    made = TrainConfig.from_dict(good, overrides={"optimizer.learning_rate": 1e-4, "steps": 7})
    assert (made.optimizer.learning_rate, made.steps) == (1e-4, 7)
    assert TrainConfig.from_dict(made.describe()) == made


@pytest.mark.parametrize("name", ["sft", "pretrain", "dpo"])
def test_ready_configurations_are_valid(name: str) -> None:
    assert TrainConfig.from_file(Path(__file__).parents[3] / "recipes" / "training" / f"{name}.yaml").output
