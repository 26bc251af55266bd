"""What one worker does with one task: read or load a shard, run the fused stages, write, report.

Knows nothing of Ray: the engine runs the same `Worker` in this process (`inline`) or as an actor.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.engine.chain import ROW, Batch, with_rows
from raylib.engine.loading import Counter, verdicts_of
from raylib.engine.sketches import SketchFiles, rows_between
from raylib.engine.tasks import Job, ResolveTask, ShardTask
from raylib.errors import ShardError
from raylib.reading.block import Block
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import parse
from raylib.recipe import StageSpec
from raylib.report.statistics import ShardStatistics, shard_sample_size
from raylib.schema import SCHEMAS, single_chunk, text_of
from raylib.stage import Shuffled, mark_rejected, rounds_of
from raylib.stage.resolving import adapted
from raylib.storage.kept import KeptFiles
from raylib.storage.originals import split_original, with_original
from raylib.storage.store import Store
from raylib.storage.writers import EXTENSIONS, TableWriter
from raylib.token_counts import load_tokenizer

__all__ = ["Worker"]


@dataclass
class Worker:
    """Holds the stages of a job, set up once, and processes tasks."""

    job: Job
    _stages: list[tuple[Any, list[tuple[str, Any]], Any]] = field(default_factory=list)
    _appliers: dict[int, tuple[tuple[str, ...], Any]] = field(default_factory=dict)
    _models: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.store = Store(self.job.root)
        made: dict[int, Any] = {}

        def make(spec: StageSpec | None) -> Any:
            if spec is None:
                return None
            if id(spec) not in made:
                stage = adapted(spec.make())
                if not stage.model_based:
                    stage.setup()
                made[id(spec)] = stage
            return made[id(spec)]

        for segment in self.job.segments:
            local = [(name, make(spec)) for name, spec in zip(segment.local_labels, segment.local, strict=True)]
            self._stages.append((make(segment.apply), local, make(segment.sketch)))
        self._tokenizer: Any = load_tokenizer(self.job.tokenizer) if self.job.tokenizer else None

    # ---- tasks --------------------------------------------------------------------------------

    def process(self, task: ShardTask | ResolveTask, block: Block | None = None) -> dict[str, Any]:
        """Do a task; returns its manifest entry. The files it names are complete and on disk."""
        started = time.perf_counter()
        entry = self._resolve(task) if isinstance(task, ResolveTask) else self._shard(task, block)
        entry |= {"phase": task.phase, "shard": task.shard, "key": task.key}
        entry["seconds"] = round(time.perf_counter() - started, 4)
        return entry

    def _shard(self, task: ShardTask, block: Block | None) -> dict[str, Any]:
        apply, local, sketch = self._stages[task.segment]
        self._load_models(apply, *(stage for _, stage in local))
        last = task.segment == len(self.job.segments) - 1
        position = sum(int(part) for part in task.shard.split("-"))
        statistics = ShardStatistics(self.job.seed, shard_sample_size(self.job.samples, position))
        counter = Counter()
        files: list[str] = []
        with ExitStack() as stack:

            def writer(name: str, file_format: str, layout: str = "") -> TableWriter:
                files.append(name)
                return TableWriter(stack.enter_context(self.store.create(name)), file_format, layout)

            rejected_file = f"rejected/s{task.segment}-{task.shard}.parquet"
            rejects = writer(rejected_file, "parquet")
            if last:
                extension = EXTENSIONS[self.job.output_format]
                kept = KeptFiles(
                    lambda name: writer(name, self.job.output_format, self.job.layout),
                    f"part-{task.shard}.{extension}",
                    self.job.split_by,
                )
            else:
                files.append(f".work/s{task.segment}/part-{task.shard}.arrow")
                intermediate = stack.enter_context(self.store.create(files[-1]))
            batch_writer: Any = None
            sketches: list[pa.Table] = []
            facts: list[pa.Table] = []
            rows = 0
            empty: pa.Table | None = None
            for batch in self._load(task, block, statistics, rejects, counter, apply):
                for name, stage in local:
                    self._run(name, stage, batch, statistics, rejects)
                table = batch.table
                empty = table.slice(0, 0)
                untouched = len(table) == len(batch.original) and not batch.copied
                original = batch.original if untouched else batch.original.take(table[ROW])
                if last:
                    final = table.drop_columns([ROW])
                    statistics.keep(final, original)
                    if self._tokenizer is not None:
                        statistics.add({"tokens_kept": self._count_tokens(final)})
                    for split, part in kept.write(final):
                        statistics.split(split, part, self._count_tokens(part) if self._tokenizer is not None else None)
                    continue
                if sketch is not None:
                    part, known = sketch.sketch_with_facts(table)
                    position = pc.add(part["row"].cast(pa.int32()), pa.scalar(rows, pa.int32()))
                    sketches.append(part.set_column(part.column_names.index("row"), "row", position))
                    if known is not None:
                        facts.append(known)
                stored = with_original(table.drop_columns([ROW]), original)
                if batch_writer is None:
                    options = pa.ipc.IpcWriteOptions(compression="lz4")
                    batch_writer = pa.ipc.new_file(intermediate, stored.schema, options=options)
                if len(stored):
                    batch_writer.write_table(stored.combine_chunks())
                rows += len(stored)
            for name, stage in local:
                noted = stage.notes()
                if noted:
                    statistics.add({"notes": {name: noted}})
            statistics.add({})
            assert empty is not None  # `_load` gives at least one batch, if only an empty one
            rejects.close(self._empty_rejects())
            if last:
                kept.close(empty.drop_columns([ROW]))
            else:
                batch_writer.close()
                if sketch is not None:
                    files.append(f".work/s{task.segment}/sketch-{task.shard}.arrow")
                    self._write_sketches(sketches, stack.enter_context(self.store.create(files[-1])))
                    if facts:
                        files.append(f".work/s{task.segment}/facts-{task.shard}.arrow")
                        self._write_whole(pa.concat_tables(facts), stack.enter_context(self.store.create(files[-1])))
            files.append(f".work/s{task.segment}/stats-{task.shard}.json")
            stack.enter_context(self.store.create(files[-1])).write(orjson.dumps(statistics.to_json()))
        counts = statistics.counts
        records = counts.get("records_in", 0) if task.segment == 0 else counter.loaded
        done = counts.get("records_kept", 0) if last else rows
        if records + counts.get("records_added", 0) != done + rejects.rows:
            raise ShardError(f"shard {task.shard}: {records} records in, {done} kept + {rejects.rows} rejected")
        return {
            "files": {name: self.store.size(name) for name in files},
            "records_in": records,
            "records_out": done,
            "records_rejected": rejects.rows,
            "bytes_in": counter.bytes,
            "consumed": counter.consumed,
            "sketch_bytes": sum(s.nbytes for s in sketches),
        }

    def _load_models(self, *stages: Any) -> None:
        """Set up stages with models when their first shard comes, once a worker."""
        for stage in stages:
            if stage is not None and stage.model_based and id(stage) not in self._models:
                self._models.add(id(stage))
                stage.setup()

    def _resolve(self, task: ResolveTask) -> dict[str, Any]:
        rounds = rounds_of(self._stages[task.segment][2])
        this = rounds[task.round]
        sketches = SketchFiles(self.store, task)
        result = Shuffled(pa.table({}))
        if this.broadcast or next(sketches.tables(), None) is not None:
            result = this.step(sketches)
        rows = result.rows.combine_chunks()
        if len(rows) and not this.broadcast:
            last = task.round == len(rounds) - 1
            order = ("row", "shard") if last else ("key",)
            rows = rows.take(pa.array(np.lexsort([rows[name].to_numpy() for name in order]))).combine_chunks()
        name = f".work/{task.phase}/run-{task.shard}.arrow"
        with self.store.create(name) as stream, pa.ipc.new_file(stream, rows.schema) as writer:
            if len(rows):
                writer.write_table(rows)
        return {
            "files": {name: self.store.size(name)},
            "rows": len(rows),
            "bytes": rows.nbytes,
            "changed": result.changed,
            "notes": dict(result.notes),
        }

    # ---- parts --------------------------------------------------------------------------------

    def _load(
        self,
        task: ShardTask,
        block: Block | None,
        statistics: ShardStatistics,
        rejects: TableWriter,
        counter: Counter,
        apply: Any,
    ) -> Iterator[Batch]:
        if task.segment == 0:
            yield from self._read(task, block, statistics, rejects, counter)
            return
        name = f".work/s{task.segment - 1}/part-{task.shard}.arrow"
        reader = self.store.read_arrow(name)
        verdicts = self._verdicts(task)
        act = self._applier(apply, task)
        label = "apply"
        row = 0
        batches: Iterable[Any] = (reader.get_batch(i) for i in range(reader.num_record_batches))
        if reader.num_record_batches == 0:
            batches = [pa.RecordBatch.from_pylist([], schema=reader.schema)]
        for stored in batches:
            table, original = split_original(pa.Table.from_batches([stored]))
            counter.loaded += len(table)
            batch = Batch(with_rows(table), original)
            if apply is not None:
                part = verdicts_of(verdicts, row, len(table))
                label = self.job.segments[task.segment].labels[0]
                self._run(label, lambda t, part=part: act(t, part), batch, statistics, rejects)
            row += len(table)
            yield batch

    def _read(
        self, task: ShardTask, block: Block | None, statistics: ShardStatistics, rejects: TableWriter, counter: Counter
    ) -> Iterator[Batch]:
        if block is not None:
            blocks: Iterable[Block] = [block]
        else:
            blocks = (b for piece in task.pieces for b in blocks_of(piece, self.job.read))
        left = task.limit
        schema = SCHEMAS[self.job.kind]
        for item in blocks:
            counter.bytes += len(item.data) or (item.table.nbytes if item.table is not None else 0)
            counter.consumed = max(counter.consumed, item.consumed)
            for parsed in parse(item, self.job.kind, self.job.text_fields):
                table, bad = parsed.table, parsed.rejects
                if left is not None:
                    table = table.slice(0, left)
                    bad = bad.slice(0, max(left - len(table), 0))
                    left -= len(table) + len(bad)
                table = self._with_source(table, item.path)
                statistics.read(table, bad)
                self._reject(bad, statistics, rejects)
                yield Batch(with_rows(table), table)
                if left is not None and left <= 0:
                    return
        yield Batch(with_rows(pa.Table.from_pylist([], schema=schema)), pa.Table.from_pylist([], schema=schema))

    def _with_source(self, table: pa.Table, path: str) -> pa.Table:
        source = table["source"]
        if not pc.any(pc.equal(source, "")).as_py():
            return table
        default = self.job.default_source or path.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]
        filled = pc.if_else(pc.equal(source, ""), default, source)
        return table.set_column(table.column_names.index("source"), "source", single_chunk(filled))

    def _run(self, name: str, stage: Any, batch: Batch, statistics: ShardStatistics, rejects: TableWriter) -> None:
        before = batch.table
        started = time.perf_counter()
        outcome = stage(before)
        seconds = time.perf_counter() - started
        kept = outcome.kept
        if len(kept) + len(outcome.rejected) != len(before) + outcome.added:
            raise ShardError(
                f"stage {name}: {len(before)} records in, {len(kept)} kept + {len(outcome.rejected)} rejected"
            )
        characters_before = batch.characters
        changed = 0
        same_texts = kept is before
        if len(kept) == len(before) and not same_texts and not outcome.added:
            old, new = text_of(before), text_of(kept)
            changed = 0 if new is old else int(pc.sum(pc.not_equal(old, new)).as_py() or 0)
            same_texts = changed == 0
        batch.replace(kept.combine_chunks() if kept is not before else kept, same_texts=same_texts)
        if outcome.added:
            batch.copied = True
            statistics.add({"records_added": outcome.added})
        statistics.stage(
            name, before, kept, len(outcome.rejected), seconds, (characters_before, batch.characters), changed
        )
        if len(outcome.rejected):
            original = batch.original.take(outcome.rejected[ROW])
            for column in ("stage", "reason", "detail"):
                original = original.append_column(column, outcome.rejected[column])
            original = original.set_column(
                original.column_names.index("stage"), "stage", pa.repeat(pa.scalar(name, pa.string()), len(original))
            )
            self._reject(original, statistics, rejects)

    def _reject(self, table: pa.Table, statistics: ShardStatistics, rejects: TableWriter) -> None:
        if len(table):
            table = table.cast(self._empty_rejects().schema)
            statistics.reject(table)
            rejects.write(table)

    def _empty_rejects(self) -> pa.Table:
        empty = pa.Table.from_pylist([], schema=SCHEMAS[self.job.kind])
        return mark_rejected(empty, stage="", reason="", detail=pa.array([], pa.large_string()))

    def _applier(self, stage: Any, task: ShardTask) -> Any:
        if stage is None:
            return None
        if task.segment not in self._appliers or self._appliers[task.segment][0] != task.shared:
            tables = [self.store.read_arrow(name).read_all() for name in task.shared]
            self._appliers[task.segment] = (task.shared, stage.applier(tables))
        return self._appliers[task.segment][1]

    def _verdicts(self, task: ShardTask) -> pa.Table | None:
        parts = []
        for name in task.verdicts:
            reader = self.store.read_arrow(name)
            if reader.num_record_batches == 0:
                continue
            part = rows_between(reader.read_all(), "shard", task.ordinal, task.ordinal)
            if len(part):
                parts.append(part)
        if not parts:
            return None
        merged = pa.concat_tables(parts)
        return merged.take(pc.sort_indices(merged, sort_keys=[("row", "ascending")]))

    def _write_sketches(self, parts: list[pa.Table], stream: Any) -> None:
        if not parts:
            schema = pa.schema([("row", pa.int32()), ("key", pa.uint64())])
            pa.ipc.new_file(stream, schema).close()
            return
        table = pa.concat_tables(parts)
        table = table.take(pa.array(np.argsort(table["key"].to_numpy(), kind="stable")))
        self._write_whole(table, stream)

    @staticmethod
    def _write_whole(table: pa.Table, stream: Any) -> None:
        """One uncompressed batch, so that a reader maps it into memory and looks up rows in place."""
        table = table.combine_chunks()
        with pa.ipc.new_file(stream, table.schema) as writer:
            if len(table):
                writer.write_table(table)

    def _count_tokens(self, table: pa.Table) -> int:
        encoded = self._tokenizer.encode_batch_fast(text_of(table).to_pylist(), add_special_tokens=False)
        return sum(len(e.ids) for e in encoded)
