"""Evaluation of a model on rows, during training and after it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.data.batches import Batch, BatchShape, micro_batches, to_device
from training.data.rows import Rows
from training.loop.checkpoints import random_state, restore_random_state
from training.loop.context import RunContext
from training.loop.state import TrainState
from training.model.world import World
from training.objectives import Scorer, TokenLosses

__all__ = ["Evaluation", "evaluate_rows", "evaluate_run"]

_LARGEST = 700.0  # the exponential of a larger number overflows


@dataclass(frozen=True)
class Evaluation:
    """How well a model predicts the targets of some rows.

    Attributes:
        loss: Mean loss per target; for preferences, of the chosen answers.
        perplexity: exp(loss).
        by_source: Perplexity of each source, if there are several.
        accuracy: Share of pairs whose chosen answer has the higher mean log-probability per token; None without pairs.
    """

    loss: float
    perplexity: float
    by_source: dict[str, float] = field(default_factory=dict)
    accuracy: float | None = None

    def metrics(self) -> dict[str, float]:
        """Values by the names that `metrics.jsonl` has for them, after `eval/`."""
        values = {"loss": self.loss, "perplexity": self.perplexity}
        values |= {f"perplexity/{name}": value for name, value in self.by_source.items()}
        return values if self.accuracy is None else {**values, "accuracy": self.accuracy}


def evaluate_run(context: RunContext, state: TrainState, phase: str) -> None:
    """Evaluate the model as it is now, report the result, and save the best model. All workers call it."""
    began, kept = time.perf_counter(), random_state()
    found = evaluate_rows(
        context.backend.scorer,
        context.backend.module,
        context.evaluation,
        world=context.world,
        micro=context.config.micro_batch,
        pad=context.pad,
        alive=context.watchdog.alive,
    )
    restore_random_state(kept)
    seconds = time.perf_counter() - began
    context.reporter.evaluation(state.step, phase, found.metrics(), seconds, total=state.total)
    if found.loss < state.best:
        state.best = found.loss
        context.save_model("best")


def _alive() -> None:
    """Nobody watches."""


@torch.no_grad()
def evaluate_rows(
    scorer: TokenLosses,
    module: Scorer,
    sources: Sequence[Rows],
    *,
    world: World,
    micro: int,
    pad: int,
    alive: Callable[[], None] = _alive,
) -> Evaluation:
    """Evaluate a model. The result does not depend on batch size, padding or the number of workers.

    All workers make the same number of passes. The module returns to the mode that it was in.

    Args:
        scorer: Gives the losses of a batch.
        module: The module behind it.
        sources: Rows to evaluate on.
        world: This worker among the others.
        micro: Number of rows of a pass.
        pad: Token id that fills up rows.
        alive: Called after each source.
    """
    was_training = module.training
    module.eval()
    sums = torch.zeros(len(sources), 2, dtype=torch.float64)  # loss and number of targets
    right = torch.zeros(2, dtype=torch.float64)  # pairs that are ranked right, and all pairs
    try:
        for number, rows in enumerate(sources):
            for batch in _batches(rows, number, world, micro, pad):
                moved = to_device(batch, world.device)
                losses = scorer(moved.ids, moved.segments, moved.positions, moved.targets, moved.packed)
                _add(batch, losses.double().cpu(), rows.kind == "preference", sums[number], right)
            alive()
    finally:
        module.train(was_training)
    return _result(world.total(sums), world.total(right), sources)


def _batches(rows: Rows, number: int, world: World, micro: int, pad: int) -> Iterator[Batch]:
    """This worker's batches of a source, as many as every other worker's."""
    shape = BatchShape(micro=micro, accumulation=1, pad=pad, pairs=rows.kind == "preference")
    chunk = micro * world.size
    for begin in range(0, rows.count, chunk):
        keys = [(number, i) for i in range(begin, min(begin + chunk, rows.count))]
        yield from micro_batches([rows.row(r) for _, r in keys], keys, shape, rank=world.rank, world=world.size)


def _add(batch: Batch, losses: Tensor, pairs: bool, sums: Tensor, right: Tensor) -> None:
    """Add a batch's losses to the sums of its source, and its pairs to those that are ranked right."""
    row = batch.targets.nonzero(as_tuple=True)[0]
    if len(row) == 0:
        return
    if not pairs:
        sums += torch.tensor([float(losses.sum()), float(len(losses))], dtype=torch.float64)
        return
    zero = torch.zeros(len(batch.ids), dtype=torch.float64)
    by_row, lengths = zero.index_add(0, row, losses), zero.index_add(0, row, torch.ones_like(losses))
    good, bad = (by_row / lengths.clamp_min(1)).chunk(2)
    chosen = float(by_row.chunk(2)[0].sum()), float(lengths.chunk(2)[0].sum())
    sums += torch.tensor(chosen, dtype=torch.float64)
    right += torch.tensor([float((good < bad).sum()), float(len(good))], dtype=torch.float64)


def _result(sums: Tensor, right: Tensor, sources: Sequence[Rows]) -> Evaluation:
    """The evaluation from sums over all workers."""
    loss, count = sums.sum(dim=0).tolist()
    mean = loss / max(count, 1.0)
    by_source = {
        rows.tokens.path.name: _perplexity(part, n)
        for rows, (part, n) in zip(sources, sums.tolist(), strict=True)
        if len(sources) > 1
    }
    accuracy = float(right[0] / right[1]) if right[1] else None
    return Evaluation(mean, _perplexity(loss, count), by_source, accuracy)


def _perplexity(loss: float, count: float) -> float:
    return math.exp(min(loss / max(count, 1.0), _LARGEST))
