"""Sketches, facts and texts of a segment, read from the files that its shards left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raylib.engine.tasks import ResolveTask
from raylib.schema import text_of
from raylib.stage import SketchStore
from raylib.storage.differences import PartFile
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store

__all__ = ["SketchFiles", "rows_between", "sketches_of"]


def rows_between(table: pa.Table, column: str, first: int, last: int) -> pa.Table:
    """Cut a range out of a sorted table, without a copy.

    Args:
        table: Rows sorted by `column`.
        column: Name of a column of integers.
        first: Smallest value.
        last: Largest value.

    Returns:
        The rows with a value in [first, last].
    """
    values = table[column].to_numpy()
    start = int(np.searchsorted(values, values.dtype.type(first), side="left"))
    stop = int(np.searchsorted(values, values.dtype.type(last), side="right"))
    return table.slice(start, stop - start)


@dataclass(frozen=True)
class SketchFiles:
    """A `SketchStore` over the files of a run.

    Attributes:
        store: Folder of the run.
        task: Says which shards, and which range of keys.
    """

    store: Store
    task: ResolveTask

    @property
    def _phase(self) -> Phase:
        return Phase.segment(self.task.segment)

    def tables(self) -> Iterator[pa.Table]:
        """Rows of the range, one table a run."""
        if self.task.runs:
            for name in self.task.runs:
                part = self._range(name)
                if part is not None:
                    yield part
            return
        for ordinal, shard in enumerate(self.task.shards):
            part = self._range(RunFiles.sketch(self._phase, shard))
            if part is not None:
                yield part.append_column("shard", pa.repeat(pa.scalar(ordinal, pa.int32()), len(part)))

    def _range(self, name: str) -> pa.Table | None:
        reader = self.store.read_arrow(name)
        if reader.num_record_batches == 0:
            return None
        table = pa.Table.from_batches([reader.get_batch(0)])
        part = rows_between(table, "key", self.task.first, self.task.last)
        return part if len(part) else None

    def shared(self) -> Iterator[pa.Table]:
        """Tables of broadcast rounds."""
        for name in self.task.shared:
            yield self.store.read_arrow(name).read_all()

    def facts(self, nodes: npt.NDArray[np.uint64], columns: Sequence[str] | None = None) -> pa.Table:
        """Facts of records, in the order of `nodes`."""
        parts = []
        for shard, rows in self._by_shard(nodes):
            reader = self.store.read_arrow(RunFiles.facts(self._phase, shard))
            table = pa.Table.from_batches([reader.get_batch(0)])
            parts.append((table.select(columns) if columns else table).take(rows))
        return self._in_order(nodes, pa.concat_tables(parts)) if parts else pa.table({})

    def texts(self, nodes: npt.NDArray[np.uint64]) -> list[str]:
        """Texts of records, in the order of `nodes`."""
        parts: list[pa.Array] = []
        for shard, rows in self._by_shard(nodes):
            parts += [text_of(table) for table in PartFile(self.store, self._phase, shard).rows(rows)]
        table = self._in_order(nodes, pa.table({"text": pa.chunked_array(parts, pa.large_string())}))
        return list(table["text"].to_pylist())

    def _by_shard(self, nodes: npt.NDArray[np.uint64]) -> Iterator[tuple[ShardName, npt.NDArray[np.int64]]]:
        """(shard, sorted rows) for sorted nodes."""
        nodes = np.sort(nodes)
        shards = (nodes >> np.uint64(32)).astype(np.int64)
        borders = np.flatnonzero(np.diff(shards, prepend=-1))
        for start, stop in zip(borders.tolist(), [*borders[1:].tolist(), len(nodes)], strict=True):
            yield self.task.shards[shards[start]], (nodes[start:stop] & np.uint64(0xFFFFFFFF)).astype(np.int64)

    @staticmethod
    def _in_order(nodes: npt.NDArray[np.uint64], table: pa.Table) -> pa.Table:
        """Rows that came in sorted order of the nodes, put into the order that was asked for."""
        if bool((nodes[1:] > nodes[:-1]).all()):
            return table.combine_chunks()
        back = np.empty(len(nodes), np.int64)
        back[np.argsort(nodes, kind="stable")] = np.arange(len(nodes))
        return table.take(pa.array(back)).combine_chunks()


def sketches_of(store: Store, segment: int, shards: tuple[ShardName, ...]) -> SketchStore:
    """All sketches, facts and texts of a segment, for the report.

    Args:
        store: Folder of the run.
        segment: Number of the segment.
        shards: Its shards, in the order of their ordinals.
    """
    phase = Phase.round(segment, 0, 0)
    return SketchFiles(store, ResolveTask(segment, 0, phase, ShardName(0), "", 0, (1 << 64) - 1, shards))
