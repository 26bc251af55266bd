"""What travels between the engine and its workers: the job, its segments, one task of a shard or of a shuffle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from raylib.reading.block import ReadOptions
from raylib.reading.units import Piece
from raylib.recipe import StageSpec
from raylib.recipe.stages import stage_labels
from raylib.stage import GlobalStage
from raylib.stage.resolving import is_model_based

__all__ = ["Job", "ResolveTask", "Segment", "ShardTask", "Task", "segments_of"]


@dataclass(frozen=True)
class Segment:
    """Stages that run fused: an optional `apply` of the global stage before them, local stages, an optional sketch."""

    apply: StageSpec | None
    local: tuple[StageSpec, ...]
    sketch: StageSpec | None
    labels: tuple[str, ...] = ()  # of `apply`, if any, and of the local stages: unique in the recipe

    @property
    def local_labels(self) -> tuple[str, ...]:
        return self.labels[1:] if self.apply is not None else self.labels

    @property
    def model_based(self) -> bool:
        """Whether a stage in it loads a model."""
        return any(is_model_based(s.make()) for s in (self.apply, *self.local) if s is not None)


@dataclass(frozen=True)
class Job:
    """Everything a worker has to know about a run; travels to each actor once."""

    root: str
    kind: str
    segments: tuple[Segment, ...]
    read: ReadOptions
    text_fields: tuple[str, ...] = ()
    default_source: str = ""
    output_format: str = "parquet"
    layout: str = ""
    seed: int = 0
    samples: int = 100
    tokenizer: str = ""
    split_by: str = ""
    name: str = ""


@dataclass(frozen=True)
class ShardTask:
    """Run segment `segment` over one shard, read from pieces or a block, or loaded from the segment before.

    verdicts: files of the global stage before; ordinal: the shard's number in them; shared: files of the
    stage's broadcast rounds.
    """

    segment: int
    shard: str
    key: str
    pieces: tuple[Piece, ...] = ()
    block: Any = None
    limit: int | None = None
    verdicts: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    ordinal: int = -1

    @property
    def phase(self) -> str:
        return f"s{self.segment}"


@dataclass(frozen=True)
class ResolveTask:
    """One task of round `round` of the global stage after segment `segment`: keys in [first, last] of all runs.

    shards: of the segment, in the order of their ordinals. runs: files of the round before; empty in
    the first round, which reads the sketches. shared: files of broadcast rounds.
    """

    segment: int
    round: int
    phase: str
    shard: str
    key: str
    first: int
    last: int
    shards: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def segments_of(stages: tuple[StageSpec, ...]) -> tuple[Segment, ...]:
    """Cut the chain at global stages: each is sketched at the end of one segment and applied at the start of the next."""
    segments: list[Segment] = []
    apply: StageSpec | None = None
    local: list[StageSpec] = []
    scored = False  # whether a model is in `apply` or `local`
    for spec in stages:
        stage = spec.make()
        model = is_model_based(stage)
        if scored or (model and (apply or local)):
            # what a model scored is committed at once, and its actors have nothing else to do
            segments.append(Segment(apply, tuple(local), None))
            apply, local = None, []
        if isinstance(stage, GlobalStage):
            segments.append(Segment(apply, tuple(local), spec))
            apply, local = spec, []
        else:
            local.append(spec)
        scored = model
    segments.append(Segment(apply, tuple(local), None))
    names = iter(stage_labels(stages))
    return tuple(replace(s, labels=tuple(next(names) for _ in range(len(s.local) + bool(s.apply)))) for s in segments)


Task = ShardTask | ResolveTask
