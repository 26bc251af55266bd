"""Choosing the backend of a run."""

from __future__ import annotations

from training.config import TrainConfig
from training.model.backend import Backend
from training.model.deepspeed import DeepSpeedBackend
from training.model.plain import PlainBackend
from training.model.world import World
from training.objectives import Scorer

__all__ = ["make_backend"]


def make_backend(config: TrainConfig, module: Scorer, world: World, *, universal: bool = False) -> Backend:
    """The backend that the configuration names. universal: it is about to load what `to_universal` made."""
    if config.parallel.backend == "plain":
        return PlainBackend(config, module, world)
    return DeepSpeedBackend(config, module, world, universal=universal)
