"""Training on Ray Train and DeepSpeed: tokens, pretraining, fine-tuning, preferences.

>>> import training
>>> training.run(training.TrainConfig.from_file("sft.yaml"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.config import TrainConfig

if TYPE_CHECKING:
    from training.loop.folder import Result

__all__ = ["TrainConfig", "run", "tokenize"]


def run(config: TrainConfig, **options: Any) -> Result:
    """Train by a configuration; see `training.launch.run`."""
    from training.loop.launch import run as start

    return start(config, **options)


def tokenize(sources: list[str], out: str, tokenizer: str, **options: Any) -> dict[str, Any]:
    """Tokenise records into a token folder; see `training.tokens.tokenize`."""
    from training.data.encoding import TokenOptions
    from training.data.tokens import tokenize as make

    return make(sources, out, tokenizer, TokenOptions(**options))
