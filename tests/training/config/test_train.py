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


@pytest.mark.parametrize(
    ("dtype", "backend", "taken"),
    [("bf16", "deepspeed", False), ("fp16", "deepspeed", False), ("fp32", "deepspeed", True), ("bf16", "plain", True)],
)
def test_zero_stage_0_is_refused_where_deepspeed_cannot_sum_gradients(dtype: str, backend: str, taken: bool) -> None:
    parallel = {"backend": backend, "zero_stage": 0}
    given = {"objective": "sft", "output": "out", "model": {"path": "m", "dtype": dtype}, "parallel": parallel}
    if taken:
        assert TrainConfig.from_dict(given).parallel.zero_stage == 0
    else:
        with pytest.raises(TrainingError, match=r"zero_stage: 0 needs model\.dtype fp32"):
            TrainConfig.from_dict(given)
