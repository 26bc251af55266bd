"""Building the model and the backend of a run, at its beginning and at a phase with a fresh optimizer."""

from __future__ import annotations

import torch

from training.config import TrainConfig
from training.data.tokenizer import Tokenizer
from training.model.backend import Backend
from training.model.build import build_model
from training.model.deepspeed import DeepSpeedBackend
from training.model.plain import PlainBackend
from training.model.world import World
from training.objectives import Scorer

__all__ = ["build_scorer", "cast_for_backend", "fresh_backend", "make_backend"]


def build_scorer(config: TrainConfig, tokenizer: Tokenizer) -> Scorer:
    """The model of a run, in float32."""
    return Scorer(build_model(config.model, tokenizer, config.seed), compiled=config.model.compile)


def cast_for_backend(scorer: Scorer, config: TrainConfig) -> None:
    """Cast weights to the run's data type where the backend keeps float32 copies of its own (DeepSpeed)."""
    if config.parallel.backend == "deepspeed" and config.model.dtype != "fp32":
        scorer.to(torch.bfloat16 if config.model.dtype == "bf16" else torch.float16)


def make_backend(config: TrainConfig, module: Scorer, world: World, *, universal: bool = False) -> Backend:
    """The backend that the configuration names.

    Args:
        config: The run.
        module: The model.
        world: This worker among the others.
        universal: Whether the backend is about to load a checkpoint that `to_universal` made.
    """
    if config.parallel.backend == "plain":
        return PlainBackend(config, module, world)
    return DeepSpeedBackend(config, module, world, universal=universal)


def fresh_backend(config: TrainConfig, backend: Backend, tokenizer: Tokenizer, world: World) -> Backend:
    """A new backend with the weights of another one: its optimizer starts as if the run began here."""
    weights = world.broadcast(backend.weights())
    if weights is None:
        raise RuntimeError("worker 0 gathered no weights")
    fresh = build_scorer(config, tokenizer)
    fresh.model.load_state_dict(weights, strict=False)
    cast_for_backend(fresh, config)
    return make_backend(config, fresh, world)
