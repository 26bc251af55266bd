"""Log-probabilities by the weights that a phase began with, for objectives that compare with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from raylib.atomic import create_atomically
from training.data.batches import Batch, BatchShape, micro_batches, to_device
from training.data.rows import Rows
from training.loop.checkpoints import random_state, restore_random_state
from training.loop.context import RunContext
from training.loop.phase_data import PhaseData
from training.model.build import build_model
from training.objectives import Dpo, Scorer
from training.objectives.dpo import Reference

__all__ = ["with_reference"]


def with_reference(context: RunContext, data: PhaseData) -> PhaseData:
    """The data of a phase whose objective knows its reference model, if it has one. All workers call it."""
    if not isinstance(data.objective, Dpo):
        return data
    online = context.config.dpo.reference == "online"
    reference = _frozen_copy(context) if online else _precomputed(context, data)
    return replace(data, objective=replace(data.objective, reference=reference))


def _frozen_copy(context: RunContext) -> Reference:
    """A frozen copy of the initial model, which is asked at every step."""
    config = context.config
    frozen = Scorer(build_model(config.model, context.tokenizer, config.seed)).to(context.world.device).eval()
    if config.model.dtype == "bf16":
        frozen.to(torch.bfloat16)
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    return lambda batch: Dpo.log_probabilities(frozen, batch)[0]


def _precomputed(context: RunContext, data: PhaseData) -> Reference:
    """A table of all pairs, computed before the first step and kept in the run's folder."""
    place = context.folder / f"reference{'-' + data.name if data.name else ''}.npz"
    if not place.is_file():
        _compute(context, data, place)
    held = np.load(place, allow_pickle=False)
    tables = [held[str(i)] for i in range(len(data.sources))]

    def look_up(batch: Batch) -> Tensor:
        found = np.stack([tables[source][row] for source, row in batch.indices])  # [pairs, 2]
        return torch.from_numpy(found.T.reshape(-1).copy())

    return look_up


@torch.no_grad()
def _compute(context: RunContext, data: PhaseData, place: Path) -> None:
    """Pass all pairs once through the untouched weights, without dropout and without drawing a random number."""
    context.tell("computing reference log-probabilities")
    module = context.backend.module
    kept, was_training = random_state(), module.training
    module.eval()
    tables = {str(number): _table(context, number, rows).numpy() for number, rows in enumerate(data.sources)}
    if context.world.rank == 0:
        with create_atomically(place) as stream:
            np.savez(stream, **tables)  # type: ignore[arg-type] # its own option, `allow_pickle`, is not among the names
    context.world.barrier()
    restore_random_state(kept)
    module.train(was_training)


def _table(context: RunContext, number: int, rows: Rows) -> Tensor:
    """Log-probabilities of the chosen and the rejected answer of each pair of a source, float32, `[pairs, 2]`."""
    world, micro = context.world, context.config.micro_batch
    shape = BatchShape(micro=micro, accumulation=1, pad=context.pad, pairs=True)
    table = torch.zeros(rows.count, 2, dtype=torch.float64)
    chunk = micro * world.size
    for begin in range(0, rows.count, chunk):
        keys = [(number, i) for i in range(begin, min(begin + chunk, rows.count))]
        some = [rows.row(row) for _, row in keys]
        (batch,) = micro_batches(some, keys, shape, rank=world.rank, world=world.size)
        found, _ = Dpo.log_probabilities(context.backend.scorer, to_device(batch, world.device))
        pairs = len(batch.indices)
        for k, (_, row) in enumerate(batch.indices):
            table[row] = torch.stack([found[k], found[pairs + k]]).double().cpu()
    context.watchdog.alive()
    return world.total(table).float()
