"""A worker does one task at a time: load a shard, run the fused stages, write and count; or a round of a global stage.

Knows nothing of Ray: the engine runs the same `Worker` in this process (`inline`) or as an actor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from raylib.engine.chain import Batch, Chain, Rejects
from raylib.engine.loading import Counter, load_shard, read_shard
from raylib.engine.shard_files import KeptOutput, Output, ShardFiles, StoredOutput
from raylib.engine.sketches import SketchFiles
from raylib.engine.task_log import CurrentStage
from raylib.engine.tasks import Job, ResolveTask, Segment, ShardTask
from raylib.errors import ShardError
from raylib.reading.block import Block
from raylib.recipe import StageSpec
from raylib.report.statistics import ShardStatistics, shard_sample_size
from raylib.stage import Applier, GlobalStage, LocalStage, Shuffled, adapted
from raylib.storage.entry import RoundEntry, ShardEntry
from raylib.storage.names import RunFiles
from raylib.storage.store import Store
from raylib.token_counts import Tokenizer, load_tokenizer

__all__ = ["Worker"]


@dataclass(frozen=True)
class _Stages:
    """The stages of a segment, with their labels."""

    apply: tuple[str, GlobalStage] | None
    local: tuple[tuple[str, LocalStage], ...]
    sketch: tuple[str, GlobalStage] | None

    @property
    def of_shards(self) -> tuple[tuple[str, LocalStage | GlobalStage], ...]:
        """The stages that decide about records, with their labels."""
        first = () if self.apply is None else (self.apply,)
        return (*first, *self.local)


class Worker:
    """Holds the stages of a job, set up once, and does tasks.

    Args:
        job: The run.
        current: Where to note the stage that runs.

    Attributes:
        store: Folder of the run.
        current: The stage that runs.
    """

    def __init__(self, job: Job, current: CurrentStage | None = None) -> None:
        self.store = Store(job.root)
        self.current = current or CurrentStage()
        self._job = job
        make = _StageMaker()
        labels = job.global_labels
        self._stages = [_stages_of(s, after, make) for s, after in zip(job.segments, labels, strict=True)]
        self._tokenizer: Tokenizer | None = load_tokenizer(job.tokenizer) if job.tokenizer else None
        self._appliers: dict[int, tuple[tuple[str, ...], Applier]] = {}  # by segment: shared files, what came of them
        self._with_models: set[int] = set()  # identities of stages whose models are loaded

    def process(self, task: ShardTask | ResolveTask, block: Block | None = None) -> ShardEntry | RoundEntry:
        """Do a task.

        Args:
            task: The task.
            block: What to read, when a reader cut it off a large file.

        Returns:
            Its manifest entry. The files that it names are complete and on disk.

        Raises:
            InStage: a stage raised an error.
            ShardError: records were lost.
        """
        started = time.perf_counter()
        entry = self._resolve(task) if isinstance(task, ResolveTask) else self._process_shard(task, block)
        return replace(entry, seconds=round(time.perf_counter() - started, 4))

    def _process_shard(self, task: ShardTask, block: Block | None) -> ShardEntry:
        stages = self._stages[task.segment]
        position = task.shard.position
        statistics = ShardStatistics(self._job.seed, shard_sample_size(self._job.samples, position), position)
        self._load_models(stages, statistics)
        counter = Counter()
        with ExitStack() as stack:
            files = ShardFiles(self.store, stack)
            writer = files.table_writer(RunFiles.rejected(task.phase, task.shard), "parquet")
            chain = Chain(statistics, Rejects(self._job.kind, writer, statistics), self.current)
            output = self._output(task, files, statistics)
            for batch in self._load(task, block, chain, counter):
                for label, stage in stages.local:
                    chain.run(label, stage, batch)
                output.write(batch)
            _add_notes(statistics, stages)
            chain.rejects.close()
            output.close()
            files.write_statistics(task.phase, task.shard, statistics)
        records = statistics.counts.get("records_in", 0) if task.segment == 0 else counter.loaded
        _check_shard(task, records + statistics.counts.get("records_added", 0), output.rows, chain.rejects.rows)
        return ShardEntry(
            phase=task.phase,
            shard=task.shard,
            key=task.key,
            files=files.sizes(),
            sums=files.sums(),
            records_in=records,
            records_out=output.rows,
            records_rejected=chain.rejects.rows,
            bytes_in=counter.bytes,
            consumed=counter.consumed,
            sketch_bytes=output.sketch_bytes,
        )

    def _output(self, task: ShardTask, files: ShardFiles, statistics: ShardStatistics) -> Output:
        if task.segment == self._job.last:
            return KeptOutput(files, self._job, task.shard, statistics, self._tokenizer)
        sketch = self._stages[task.segment].sketch
        return StoredOutput(files, task.phase, task.shard, statistics, sketch, self.current)

    def _load(self, task: ShardTask, block: Block | None, chain: Chain, counter: Counter) -> Iterator[Batch]:
        if task.segment == 0:
            return read_shard(self._job, task, block, chain, counter)
        stage = self._stages[task.segment].apply
        if stage is None:
            return load_shard(self.store, task, "", None, chain, counter)
        label, apply = stage
        with chain.statistics.spending(label):
            applier = self._applier(apply, task)
        return load_shard(self.store, task, label, applier, chain, counter)

    def _applier(self, stage: GlobalStage, task: ShardTask) -> Applier:
        """The stage as a function of a table and its verdicts, made once for the tables of its broadcast rounds."""
        made = self._appliers.get(task.segment)
        if made is None or made[0] != task.shared:
            tables = [self.store.read_arrow(name).read_all() for name in task.shared]
            made = self._appliers[task.segment] = (task.shared, stage.applier(tables))
        return made[1]

    def _load_models(self, stages: _Stages, statistics: ShardStatistics) -> None:
        """Set up stages with models when their first shard comes."""
        for label, stage in stages.of_shards:
            if stage.model_based and id(stage) not in self._with_models:
                self._with_models.add(id(stage))
                with statistics.spending(label):
                    stage.setup()

    def _resolve(self, task: ResolveTask) -> RoundEntry:
        label, stage = _present(self._stages[task.segment].sketch)
        rounds = stage.rounds()
        this = rounds[task.round]
        sketches = SketchFiles(self.store, task)
        result = Shuffled(pa.table({}))
        if this.broadcast or next(sketches.tables(), None) is not None:
            with self.current.running(label):
                result = this.step(sketches)
        rows = result.rows.combine_chunks()
        if len(rows) and not this.broadcast:
            order = ("row", "shard") if task.round == len(rounds) - 1 else ("key",)
            rows = rows.take(pa.array(np.lexsort([rows[name].to_numpy() for name in order]))).combine_chunks()
        name = RunFiles.run(task.phase, task.shard)
        with ExitStack() as stack:
            files = ShardFiles(self.store, stack)
            with pa.ipc.new_file(files.create(name), rows.schema) as writer:
                if len(rows):
                    writer.write_table(rows)
        return RoundEntry(
            phase=task.phase,
            shard=task.shard,
            key=task.key,
            files=files.sizes(),
            sums=files.sums(),
            rows=len(rows),
            bytes=rows.nbytes,
            changed=result.changed,
            notes=dict(result.notes),
        )


class _StageMaker:
    """Makes each stage once, though a global one belongs to two segments."""

    def __init__(self) -> None:
        self._made: dict[int, LocalStage | GlobalStage] = {}

    def __call__(self, spec: StageSpec) -> LocalStage | GlobalStage:
        if id(spec) not in self._made:
            stage = adapted(spec.make())
            if not stage.model_based:
                stage.setup()
            self._made[id(spec)] = stage
        return self._made[id(spec)]


def _stages_of(segment: Segment, after: str, make: Callable[[StageSpec], LocalStage | GlobalStage]) -> _Stages:
    """The stages of a segment; `after` is the label of the global stage after it."""
    labels = segment.local_labels
    apply = None if segment.apply is None else (segment.labels[0], _as_global(make(segment.apply)))
    local = tuple((label, _as_local(make(spec))) for label, spec in zip(labels, segment.local, strict=True))
    sketch = None if segment.sketch is None else (after, _as_global(make(segment.sketch)))
    return _Stages(apply, local, sketch)


def _as_local(stage: LocalStage | GlobalStage) -> LocalStage:
    if not isinstance(stage, LocalStage):
        raise TypeError(f"{stage!r} is not a local stage")
    return stage


def _as_global(stage: LocalStage | GlobalStage) -> GlobalStage:
    if not isinstance(stage, GlobalStage):
        raise TypeError(f"{stage!r} is not a global stage")
    return stage


def _present(sketch: tuple[str, GlobalStage] | None) -> tuple[str, GlobalStage]:
    if sketch is None:
        raise TypeError("a round belongs to a segment that ends with a global stage")
    return sketch


def _add_notes(statistics: ShardStatistics, stages: _Stages) -> None:
    """Add what local stages counted; a stage without counters leaves no trace."""
    for label, stage in stages.local:
        notes = stage.notes()
        if notes is not None:
            statistics.add({"notes": {label: notes}})


def _check_shard(task: ShardTask, records: int, done: int, rejected: int) -> None:
    if records != done + rejected:
        raise ShardError(f"{task.title}: {records} records in, {done} kept + {rejected} rejected")
