"""One phase of a run: micro-steps, update, metrics, evaluation and checkpoints, step after step."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from raylib.errors import TrainingError
from training.data.batches import Batch, BatchShape, micro_batches, to_device
from training.data.rows import Row
from training.loop.context import RunContext
from training.loop.evaluation import evaluate_run
from training.loop.guards import check_storage
from training.loop.phase_data import PhaseData
from training.loop.reporting import StepPlace
from training.loop.state import TrainState
from training.model.schedule import learning_rate

__all__ = ["PhaseEnd", "run"]


@dataclass(frozen=True)
class PhaseEnd:
    """How a phase ended.

    Attributes:
        finished: Whether all steps were done; otherwise the run stops.
        metrics: Metrics of the last step; empty if none was left to do.
    """

    finished: bool
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _StepRows:
    """This worker's rows of a step.

    Attributes:
        rows: The rows.
        batches: The rows as micro-batches.
        begun: Time at which reading them began, seconds.
        ready: Time at which the micro-batches were made.
    """

    rows: list[Row]
    batches: list[Batch]
    begun: float
    ready: float


def run(context: RunContext, data: PhaseData, state: TrainState) -> PhaseEnd:
    """Train to the end of a phase. All workers call it.

    Args:
        context: Surroundings of the run.
        data: What the phase trains on.
        state: How far the run has come; changed step by step.

    Raises:
        TrainingError: if a loss is not finite and the run shall stop then.
    """
    metrics: dict[str, float] = {}
    context.backend.module.train()
    while state.step < data.steps:
        metrics = _step(context, data, state)
        if not _after_step(context, data, state):
            return PhaseEnd(False, metrics)
    return PhaseEnd(True, metrics)


def _step(context: RunContext, data: PhaseData, state: TrainState) -> dict[str, float]:
    """Do one step and report it; returns its metrics."""
    world, config, step = context.world, context.config, state.step
    read = _read(context, data, step)
    counts = world.total(data.objective.counts(read.rows))
    sums, finite = _micro_steps(context, data, read.batches, counts)
    rate = learning_rate(data.optimizer, step, data.steps)
    passed = time.perf_counter()
    norm = _update(context, finite, rate)
    tokens = int(world.total(torch.tensor(float(sum(b.tokens for b in read.batches)))))
    state.step += 1
    state.total += 1
    state.updates += int(math.isfinite(norm))
    state.tokens += tokens
    names = [f"{data.name}/{n}" if data.name else n for n in data.names]
    metrics = {
        **data.objective.metrics({k: world.total(v) for k, v in sums.items()}, names),
        "lr": rate,
        "grad_norm": norm,
        "tokens": state.tokens,
        "step_tokens": tokens,
        "seconds": time.perf_counter() - read.begun,
        "seconds_data": read.ready - read.begun,
        "seconds_model": passed - read.ready,
        "seconds_update": time.perf_counter() - passed,
    }
    metrics |= context.reading.compare(world, state.step, context.tell)
    epoch = state.step * config.batch / data.stream.epoch_rows
    context.reporter.step(StepPlace(state.step, data.steps, state.total, data.name, epoch), metrics, context.flops)
    context.watchdog.alive()
    if context.beat is not None:
        context.beat()
    return metrics


def _read(context: RunContext, data: PhaseData, step: int) -> _StepRows:
    """Read this worker's rows of a step, and cut them into micro-batches."""
    config, world = context.config, context.world
    begun = time.perf_counter()
    first = step * config.batch
    keys = data.stream.rows(first, min(config.batch, data.last_row - first))[world.rank :: world.size]
    rows = [data.sources[source].row(row) for source, row in keys]
    read = time.perf_counter()
    shape = BatchShape(
        micro=config.micro_batch,
        accumulation=config.accumulation,
        pad=context.pad,
        pairs=data.objective.pairs,
        width=context.width,
    )
    batches = list(micro_batches(rows, keys, shape))
    context.reading.add(sum(r.length for r in rows), read - begun)
    return _StepRows(rows, batches, begun, time.perf_counter())


def _micro_steps(
    context: RunContext, data: PhaseData, batches: Sequence[Batch], counts: Tensor
) -> tuple[dict[str, Tensor], bool]:
    """Add the gradients of all micro-batches; returns the sums to log, and whether every loss was finite.

    Nothing is fetched from the device before the last micro-batch is queued, because each fetch would wait for it.
    """
    sums: dict[str, Tensor] = {}
    finite: list[Tensor] = []
    for batch in batches:
        moved = to_device(batch, context.world.device)
        loss, logged = data.objective.loss(context.backend.scorer, moved, counts)
        finite.append(torch.isfinite(loss.detach()))
        context.backend.backward(loss)
        for name, value in logged.items():
            sums[name] = sums[name] + value if name in sums else value
    return {name: value.cpu() for name, value in sums.items()}, bool(torch.stack(finite).all())


def _update(context: RunContext, finite: bool, rate: float) -> float:
    """Update the weights, unless a worker's loss is not finite: then all workers skip the step, or the run stops.

    Returns:
        The norm of the gradients; NaN if the step was skipped.
    """
    bad = int(context.world.total(torch.tensor(0.0 if finite else 1.0)))
    if not bad:
        norm = context.backend.step(rate)
        if not math.isfinite(norm):
            advice = "a lower learning rate or a longer warm-up may help"
            context.tell(f"gradient norm {norm}: the step was skipped; {advice}")
        return norm
    if context.config.non_finite == "stop":
        raise TrainingError(
            "the loss is not a finite number; lower optimizer.learning_rate or lengthen its warm-up, or look at the "
            "data of this step"
        )
    context.tell("the loss is not a finite number: the step was skipped")
    context.backend.discard()
    return math.nan


def _after_step(context: RunContext, data: PhaseData, state: TrainState) -> bool:
    """Evaluate and save if it is time to; returns whether the run may continue."""
    config = context.config
    done = state.step == data.steps
    if context.evaluation and (done or state.step % config.evaluate_every == 0):
        evaluate_run(context, state, data.name)
    full_here = check_storage(context.folder, config, context.tell)
    full = bool(context.world.total(torch.tensor(float(full_here))))
    context.checkpoints.finish(wait=False)
    if done or full or state.step % config.save_every == 0:
        context.checkpoints.save(f"step-{state.total}", context.backend, state)
    if full:
        share = f"{config.storage_stop:.0%}"
        context.tell(f"the volume of {context.folder} is {share} full: the run was saved and stopped")
    return not full
