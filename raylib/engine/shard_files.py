"""Files that a segment leaves of a shard: kept records after the last one, records in work and sketches before."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Protocol, cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.checksums import SummedStream
from raylib.engine.chain import Batch, without_rows
from raylib.engine.task_log import CurrentStage
from raylib.engine.tasks import Job
from raylib.report.statistics import ShardStatistics
from raylib.schema import text_of
from raylib.stage import GlobalStage
from raylib.storage.differences import to_store
from raylib.storage.kept import KeptFiles
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store
from raylib.storage.writers import TableWriter
from raylib.token_counts import Tokenizer

__all__ = ["KeptOutput", "Output", "ShardFiles", "StoredOutput"]


_COMPRESSED = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))  # as fast as lz4 here, and smaller by a third


@dataclass(frozen=True)
class ShardFiles:
    """Files of a shard in work. They appear together when `stack` ends without an error.

    Attributes:
        store: Folder of the run.
        stack: Holds the streams.
        streams: Streams to the files so far, by name.
    """

    store: Store
    stack: ExitStack
    streams: dict[str, SummedStream] = field(default_factory=dict)

    def create(self, name: str) -> IO[bytes]:
        """A stream to a new file."""
        self.streams[name] = SummedStream(self.stack.enter_context(self.store.create(name)))
        return cast(IO[bytes], self.streams[name])

    def table_writer(self, name: str, file_format: str, layout: str = "") -> TableWriter:
        """A writer of tables to a new file."""
        return TableWriter(self.create(name), file_format, layout)

    def write_statistics(self, phase: Phase, shard: ShardName, statistics: ShardStatistics) -> None:
        """Write counters and samples of the shard."""
        self.create(RunFiles.stats(phase, shard)).write(orjson.dumps(statistics.to_json()))

    def sizes(self) -> dict[str, int]:
        """Size of each file, once they are there."""
        return {name: stream.size for name, stream in self.streams.items()}

    def sums(self) -> dict[str, str]:
        """Checksum of each file, once they are there."""
        return {name: stream.checksum for name, stream in self.streams.items()}


class Output(Protocol):
    """Where the records go that went through all stages of a segment.

    Attributes:
        rows: Number of records so far.
        sketch_bytes: Size of their sketches in memory.
    """

    rows: int
    sketch_bytes: int

    def write(self, batch: Batch) -> None:
        """Write the records in work."""
        ...

    def close(self) -> None:
        """Finish the files; at least one batch was written, if only an empty one."""
        ...


class KeptOutput:
    """Kept records, after the last segment: counted, sampled and written in the output format.

    Args:
        files: Files of the shard.
        job: The run.
        shard: The shard.
        statistics: Counters of the shard.
        tokenizer: Counts tokens; None to leave that.
    """

    def __init__(
        self, files: ShardFiles, job: Job, shard: ShardName, statistics: ShardStatistics, tokenizer: Tokenizer | None
    ) -> None:
        self.rows = 0
        self.sketch_bytes = 0
        self._kept = KeptFiles(
            lambda name: files.table_writer(name, job.output_format, job.layout),
            shard,
            job.output_format,
            job.split_by,
        )
        self._statistics, self._tokenizer = statistics, tokenizer
        self._empty: pa.Table | None = None

    def write(self, batch: Batch) -> None:
        """Write the records in work."""
        final = without_rows(batch.table)
        self._empty = final.slice(0, 0)
        self.rows += len(final)
        self._statistics.keep(final, batch.as_read)
        if self._tokenizer is not None:
            self._statistics.add({"tokens_kept": _count_tokens(self._tokenizer, final)})
        for folder, part in self._kept.write(final):
            tokens = None if self._tokenizer is None else _count_tokens(self._tokenizer, part)
            self._statistics.split(folder, part, tokens)

    def close(self) -> None:
        """Finish the files."""
        self._kept.close(self._empty)


def _count_tokens(tokenizer: Tokenizer, table: pa.Table) -> int:
    encoded = tokenizer.encode_batch_fast(text_of(table).to_pylist(), add_special_tokens=False)
    return sum(len(e.ids) for e in encoded)


class StoredOutput:
    """Records in work, between two segments, beside how they were read; and sketches of the global stage after them.

    Args:
        files: Files of the shard.
        phase: The segment.
        shard: The shard.
        statistics: Counters of the shard.
        sketch: Label and stage that makes sketches; None where no global stage follows.
        current: The stage that runs, for log lines.
    """

    def __init__(
        self,
        files: ShardFiles,
        phase: Phase,
        shard: ShardName,
        statistics: ShardStatistics,
        sketch: tuple[str, GlobalStage] | None,
        current: CurrentStage,
    ) -> None:
        self.rows = 0
        self.sketch_bytes = 0
        self._files, self._phase, self._shard = files, phase, shard
        self._statistics, self._sketch, self._current = statistics, sketch, current
        self._stream = files.create(RunFiles.part(phase, shard))
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._sketches: list[pa.Table] = []
        self._facts: list[pa.Table] = []

    def write(self, batch: Batch) -> None:
        """Write the records in work, and make their sketches."""
        with self._statistics.spending(self._label):
            self._write(batch)

    def _write(self, batch: Batch) -> None:
        if self._sketch is not None:
            self._add_sketches(batch.table, *self._sketch)
        stored, metadata = to_store(without_rows(batch.table), batch.as_read, batch.base_in_work)
        if self._writer is None:
            self._writer = pa.ipc.new_file(self._stream, stored.schema, options=_COMPRESSED)
        for part in stored.combine_chunks().to_batches() if len(stored) else ():
            self._writer.write_batch(part, custom_metadata=metadata)
        self.rows += len(stored)

    @property
    def _label(self) -> str:
        """The global stage that records are stored for; empty if it is only for a stage with a model."""
        return self._sketch[0] if self._sketch is not None else ""

    def _add_sketches(self, table: pa.Table, label: str, stage: GlobalStage) -> None:
        with self._current.running(label):
            sketches, facts = stage.sketch_with_facts(table)
        row = pc.add(sketches["row"].cast(pa.int32()), pa.scalar(self.rows, pa.int32()))
        sketches = sketches.set_column(sketches.column_names.index("row"), "row", row)
        self.sketch_bytes += sketches.nbytes
        self._sketches.append(sketches)
        if facts is not None:
            self._facts.append(facts)

    def close(self) -> None:
        """Finish the files, sketches sorted by key."""
        with self._statistics.spending(self._label):
            if self._writer is not None:
                self._writer.close()
            if self._sketch is not None:
                self._write_sketches()

    def _write_sketches(self) -> None:
        stream = self._files.create(RunFiles.sketch(self._phase, self._shard))
        if self._sketches:
            table = pa.concat_tables(self._sketches)
            _write_one_batch(table.take(pa.array(np.argsort(table["key"].to_numpy(), kind="stable"))), stream)
        else:
            pa.ipc.new_file(stream, pa.schema([("row", pa.int32()), ("key", pa.uint64())])).close()
        if self._facts:
            name = RunFiles.facts(self._phase, self._shard)
            _write_one_batch(pa.concat_tables(self._facts), self._files.create(name))


def _write_one_batch(table: pa.Table, stream: IO[bytes]) -> None:
    """One uncompressed batch, so that a reader maps it into memory and looks up rows in place."""
    table = table.combine_chunks()
    with pa.ipc.new_file(stream, table.schema) as writer:
        if len(table):
            writer.write_table(table)
