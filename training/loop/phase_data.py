"""The data of a phase: rows of its sources in their proportions, its objective, and its length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raylib.errors import TrainingError
from training.config import OptimizerConfig, PhaseConfig, SourceConfig, TrainConfig
from training.data.order import RowStream
from training.data.rows import Rows, rows_of
from training.objectives import Causal, Dpo, Objective

__all__ = ["PhaseData", "describe", "phase_data", "phases_of", "token_folders"]


@dataclass(frozen=True)
class PhaseData:
    """What a phase trains on, and for how long.

    Attributes:
        name: Name of the phase; empty if the run has no phases.
        names: Name of each source.
        sources: Rows of each source.
        stream: Order of the rows.
        objective: Loss of a step.
        optimizer: The `optimizer` section with the learning rate of this phase.
        steps: Number of steps.
        last_row: Number of rows of all steps; epochs may end in the middle of a step.
    """

    name: str
    names: list[str]
    sources: list[Rows]
    stream: RowStream
    objective: Objective
    optimizer: OptimizerConfig
    steps: int
    last_row: int


def phases_of(config: TrainConfig) -> tuple[PhaseConfig, ...]:
    """The phases of a run; a run without phases is one phase without a name."""
    return config.phases or (PhaseConfig("", config.data.train, config.epochs, config.steps),)


def token_folders(config: TrainConfig) -> list[str]:
    """Token folders of all phases and of the evaluation."""
    trained = [source.path for phase in phases_of(config) for source in phase.train]
    return [*trained, *(source.path for source in config.data.evaluation)]


def phase_data(config: TrainConfig, phase: PhaseConfig) -> PhaseData:
    """Open the data of a phase.

    Raises:
        TrainingError: if there are no rows, or if the objective cannot learn from them.
    """
    sources = rows_of([s.path for s in phase.train], config.data.sequence_length, packing=config.data.packing)
    objective = _objective(config, phase, sources)
    packed = config.data.packing and not objective.pairs
    shares = [s.share for s in phase.train]
    stream = RowStream(sources, shares=shares, seed=config.seed, group=0 if packed else config.batch)
    epochs = phase.epochs or config.epochs
    steps = phase.steps or (0 if phase.epochs else config.steps)
    steps = steps or math.ceil(epochs * stream.epoch_rows / config.batch)
    last_row = steps * config.batch
    if not config.steps and not phase.steps:
        last_row = min(last_row, math.ceil(epochs * stream.epoch_rows))
    return PhaseData(
        name=phase.name,
        names=_source_names(phase.train),
        sources=sources,
        stream=stream,
        objective=objective,
        optimizer=replace(config.optimizer, learning_rate=phase.learning_rate or config.optimizer.learning_rate),
        steps=steps,
        last_row=last_row,
    )


def _objective(config: TrainConfig, phase: PhaseConfig, sources: Sequence[Rows]) -> Objective:
    """The objective that the configuration names. A new objective is added here."""
    weights = tuple(s.weight for s in phase.train)
    objective: Objective = Dpo(config.dpo, weights) if config.objective == "dpo" else Causal(weights)
    pairs = bool(sources) and sources[0].kind == "preference"
    if pairs != objective.pairs:
        kind = "preferences" if pairs else "these tokens"
        raise TrainingError(f"objective {config.objective} cannot learn from {kind}")
    return objective


def _source_names(sources: Sequence[SourceConfig]) -> list[str]:
    """Names of sources by their folders; a name that occurs again gets a number."""
    names: list[str] = []
    for source in sources:
        name = Path(source.path).name or source.path
        names.append(name if name not in names else f"{name}#{names.count(name) + 1}")
    return names


def describe(data: PhaseData, batch: int) -> list[str]:
    """Lines for people: the size of each source, and the length of the phase."""
    prefix = f"{data.name}: " if data.name else ""
    lines = []
    for name, rows in zip(data.names, data.sources, strict=True):
        info = rows.tokens.info
        sizes = f"{info['tokens']:,} tokens in {info['samples']:,} samples, {rows.count:,} rows"
        lines.append(f"{prefix}{name}: {sizes}")
    return [*lines, f"{data.stream.epoch_rows:,} rows per epoch, {batch} per step, {data.steps:,} steps"]
