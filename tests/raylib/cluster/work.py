"""Work that tests give to a cluster, and where its machines are."""

from __future__ import annotations

import os
from pathlib import Path

from tests.training.setup import config
from training.config import TrainConfig

__all__ = ["HEAD", "RECIPES_AT_ONCE", "WORKER", "long_training"]


HEAD, WORKER = "127.0.0.2", "127.0.0.3"  # machines that `ray submit` reaches by ssh
RECIPES_AT_ONCE = int(os.environ.get("RAYLIB_TEST_RECIPES", "8"))  # on the two cores of CI


def long_training(tokens: dict[str, str], tokenizer: Path, out: Path, **more: int) -> TrainConfig:
    """Twenty-four steps of two workers, with a checkpoint after every fourth."""
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no", **more}
    return config(tokens, tokenizer, out, steps=24, save_every=4, micro_batch=1, parallel=parallel)
