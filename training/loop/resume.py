"""Continuing a run from its newest checkpoint, also with another number of workers."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from training.config import TrainConfig
from training.loop.checkpoints import Checkpoints
from training.loop.context import RunContext
from training.loop.state import TrainState
from training.model.deepspeed import DeepSpeedBackend, to_universal
from training.model.world import World

__all__ = ["ResumePoint", "newest_checkpoint", "resume"]


@dataclass(frozen=True)
class ResumePoint:
    """A complete checkpoint.

    Attributes:
        path: Its folder.
        state: How far the run had come.
        workers: Number of workers that saved it.
        universal: Whether it must be rewritten for the present number of workers.
    """

    path: Path
    state: TrainState
    workers: int
    universal: bool


def newest_checkpoint(checkpoints: Checkpoints, config: TrainConfig, world: World) -> ResumePoint | None:
    """The checkpoint to continue from; None at the beginning of a run."""
    found = checkpoints.latest()
    if found is None:
        return None
    path, facts = found
    workers = int(facts["workers"] or 0)
    universal = workers != world.size and config.parallel.backend == "deepspeed"
    return ResumePoint(path, TrainState.from_json(facts), workers, universal)


def resume(context: RunContext, point: ResumePoint) -> TrainState:
    """Load a checkpoint into the backend and the random generators. All workers call it.

    Returns:
        How far the run had come.
    """
    if point.universal:
        _load_universal(context, point)
    else:
        context.backend.load(point.path)
    context.checkpoints.load_random_state(point.path)
    saved_by = f", saved by {point.workers} workers" if point.universal else ""
    context.tell(f"resumed from {point.path.name}: step {point.state.step}{saved_by}")
    return point.state


def _load_universal(context: RunContext, point: ResumePoint) -> None:
    """Rewrite the checkpoint for any number of workers, load it, and remove the copy."""
    world, made = context.world, context.folder / "universal"
    if world.rank == 0:
        to_universal(point.path, made)
    world.barrier()
    context.backend.load(made)
    if isinstance(context.backend, DeepSpeedBackend):
        context.backend.set_updates(point.state.updates)
    world.barrier()
    if world.rank == 0:
        shutil.rmtree(made)
