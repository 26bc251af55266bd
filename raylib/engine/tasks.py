"""What travels between the engine and its workers: the job, its segments, one task of a shard or of a shuffle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from raylib.paths import located
from raylib.reading.block import Block, ReadOptions
from raylib.reading.units import Piece
from raylib.recipe import StageSpec
from raylib.recipe.stages import stage_labels
from raylib.stage import GlobalStage, adapted
from raylib.storage.names import Phase, ShardName

if TYPE_CHECKING:
    import ray

__all__ = ["BlockSource", "Job", "ResolveTask", "Segment", "ShardTask", "Task", "segments_of"]

BlockSource: TypeAlias = "Block | ray.ObjectRef"  # a block, or a reference to one in Ray's object store


@dataclass(frozen=True)
class Segment:
    """Stages that run fused.

    Attributes:
        apply: The global stage before them, whose verdicts are applied first.
        local: Local stages.
        sketch: The global stage after them, whose sketches are made last.
        labels: Labels of `apply`, if any, and of the local stages: unique in the recipe.
    """

    apply: StageSpec | None
    local: tuple[StageSpec, ...]
    sketch: StageSpec | None
    labels: tuple[str, ...] = ()

    def located(self) -> Segment:
        """The same segment with absolute paths in its stages, for workers."""
        return Segment(
            None if self.apply is None else self.apply.located(),
            tuple(stage.located() for stage in self.local),
            None if self.sketch is None else self.sketch.located(),
            self.labels,
        )

    @property
    def specs(self) -> tuple[StageSpec, ...]:
        """Its stages, without the global one after them, which the next segment applies."""
        return self.local if self.apply is None else (self.apply, *self.local)

    @property
    def local_labels(self) -> tuple[str, ...]:
        """Labels of the local stages."""
        return self.labels[1:] if self.apply is not None else self.labels

    @property
    def title(self) -> str:
        """The labels in one line."""
        return " + ".join(self.labels)

    @property
    def model_based(self) -> bool:
        """Whether a stage in it loads a model."""
        return any(adapted(s.make()).model_based for s in self.specs)


@dataclass(frozen=True)
class Job:
    """Everything a worker has to know about a run; travels to each actor once.

    Attributes:
        root: Folder of the run, absolute, or a URI.
        kind: Kind of the records.
        segments: The stages.
        read: How to read the input.
        text_fields: Fields of a document that hold its text; empty for the usual names.
        default_source: Source of records that have none; empty for the name of their file.
        output_format: Format of kept records.
        layout: Layout of kept records in JSON lines.
        seed: Seed of everything that is sampled.
        samples: Size of the samples of kept and of rejected records.
        tokenizer: Path of a tokenizer that counts kept tokens; empty for none.
        split_by: Column to split kept records by; empty for none.
        name: Name of the run.
    """

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

    def located(self) -> Job:
        """The same run with absolute paths: workers run in other folders than the command."""
        tokenizer = str(located(self.tokenizer))
        return replace(self, segments=tuple(s.located() for s in self.segments), tokenizer=tokenizer)

    @property
    def global_labels(self) -> tuple[str, ...]:
        """For each segment the label of the global stage after it; empty where there is none."""
        following = (*self.segments[1:], None)
        pairs = zip(self.segments, following, strict=True)
        return tuple(after.labels[0] if before.sketch is not None and after else "" for before, after in pairs)

    @property
    def last(self) -> int:
        """Number of the last segment, which writes the kept records."""
        return len(self.segments) - 1


@dataclass(frozen=True)
class ShardTask:
    """Run a segment over one shard, read from pieces or a block, or loaded from the segment before.

    Attributes:
        segment: Number of the segment.
        shard: The shard.
        key: Fingerprint of everything that determines its files.
        pieces: What to read, in the first segment.
        block: What to read, when a reader cut it off a large file.
        limit: Most records to read.
        verdicts: Files of the last round of the global stage before.
        shared: Files of its broadcast rounds.
        ordinal: Number of the shard in the verdicts.
    """

    segment: int
    shard: ShardName
    key: str
    pieces: tuple[Piece, ...] = ()
    block: BlockSource | None = None
    limit: int | None = None
    verdicts: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    ordinal: int = -1

    @property
    def phase(self) -> Phase:
        """The phase that the segment is."""
        return Phase.segment(self.segment)

    @property
    def title(self) -> str:
        """The task in log lines."""
        return f"shard {self.shard}"

    @property
    def bare(self) -> ShardTask:
        """The task without its block, which travels beside it and cannot be hashed."""
        return replace(self, block=None)


@dataclass(frozen=True)
class ResolveTask:
    """Do one round of a global stage for a range of keys.

    Attributes:
        segment: Number of the segment before the stage.
        round: Position of the round in the stage.
        phase: The round with its repetition.
        shard: Number of the range.
        key: Fingerprint of everything that determines its file.
        first: Smallest key.
        last: Largest key.
        shards: Shards of the segment, in the order of their ordinals.
        runs: Files of the round before; empty in the first round, which reads the sketches.
        shared: Files of broadcast rounds.
    """

    segment: int
    round: int
    phase: Phase
    shard: ShardName
    key: str
    first: int
    last: int
    shards: tuple[ShardName, ...] = ()
    runs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The task in log lines."""
        return f"shard {self.shard} of {self.phase}"

    @property
    def bare(self) -> ResolveTask:
        """The task itself."""
        return self


Task: TypeAlias = ShardTask | ResolveTask


def segments_of(stages: tuple[StageSpec, ...]) -> tuple[Segment, ...]:
    """Cut a chain of stages into segments.

    Args:
        stages: All stages of a run.

    Returns:
        The segments. A global stage is sketched at the end of one and applied at the start of the next; a stage with a
        model has a separate one, so that its scores are committed at once and its actors do nothing else.
    """
    segments: list[Segment] = []
    apply: StageSpec | None = None
    local: list[StageSpec] = []
    scored = False  # whether a model is in `apply` or `local`
    for spec in stages:
        stage = adapted(spec.make())
        if scored or (stage.model_based and (apply or local)):
            segments.append(Segment(apply, tuple(local), None))
            apply, local = None, []
        if isinstance(stage, GlobalStage):
            segments.append(Segment(apply, tuple(local), spec))
            apply, local = spec, []
        else:
            local.append(spec)
        scored = stage.model_based
    segments.append(Segment(apply, tuple(local), None))
    return _labelled(segments, stages)


def _labelled(segments: list[Segment], stages: tuple[StageSpec, ...]) -> tuple[Segment, ...]:
    names = iter(stage_labels(stages))
    return tuple(replace(s, labels=tuple(next(names) for _ in range(len(s.local) + bool(s.apply)))) for s in segments)
