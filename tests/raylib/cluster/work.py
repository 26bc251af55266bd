"""Work that tests give to a cluster, and where its machines are."""

from __future__ import annotations

from pathlib import Path

from tests.training.setup import config
from training.config import TrainConfig

__all__ = ["HEAD", "RECIPES_AT_ONCE", "WORKER", "long_training"]


HEAD, WORKER = "127.0.0.2", "127.0.0.3"  # machines that `ray submit` reaches by ssh
RECIPES_AT_ONCE = 20


def long_training(tokens: dict[str, str], tokenizer: Path, out: Path, **more: int) -> TrainConfig:
    """Forty steps of two workers, with a checkpoint after every fifth."""
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no", **more}
    return config(tokens, tokenizer, out, steps=40, save_every=5, micro_batch=1, parallel=parallel)
