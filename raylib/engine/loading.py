"""Loading a shard: parsed from the input, or read from the files of the segment before, with verdicts applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from raylib.engine.chain import Batch, Chain
from raylib.engine.sketches import rows_between
from raylib.engine.tasks import Job, ShardTask
from raylib.reading.block import Block
from raylib.reading.filesystems import stem_of
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import parse
from raylib.records import with_source
from raylib.schema import SCHEMAS
from raylib.stage import Applier
from raylib.storage.differences import PartFile
from raylib.storage.names import Phase
from raylib.storage.store import Store

__all__ = ["Counter", "load_shard", "read_shard"]


@dataclass
class Counter:
    """What was loaded of a shard so far.

    Attributes:
        bytes: Raw bytes of the input, decompressed.
        consumed: Bytes of the file on disk up to the last block.
        loaded: Records taken over from the segment before.
    """

    bytes: int = 0
    consumed: int = 0
    loaded: int = 0


def read_shard(job: Job, task: ShardTask, block: Block | None, chain: Chain, counter: Counter) -> Iterator[Batch]:
    """Read the records of a shard from the input.

    Args:
        job: The run.
        task: Says what to read.
        block: What to read instead, when a reader cut it off a large file.
        chain: Takes the records that cannot be read.
        counter: Counts in place.

    Yields:
        At least one batch; the last one is empty.
    """
    left = task.limit
    for item in _blocks(job, task, block):
        counter.bytes += len(item.data) or (item.table.nbytes if item.table is not None else 0)
        counter.consumed = max(counter.consumed, item.consumed)
        for parsed in parse(item, job.kind, job.text_fields):
            table, bad = parsed.table, parsed.rejects
            if left is not None:
                table = table.slice(0, left)
                bad = bad.slice(0, max(left - len(table), 0))
                left -= len(table) + len(bad)
            table = with_source(table, job.default_source or stem_of(item.path))
            chain.statistics.read(table, bad)
            chain.rejects.add(bad)
            yield Batch.of(table, table)
            if left is not None and left <= 0:
                return
    empty = pa.Table.from_pylist([], schema=SCHEMAS[job.kind])
    yield Batch.of(empty, empty)


def _blocks(job: Job, task: ShardTask, block: Block | None) -> Iterable[Block]:
    if block is not None:
        return [block]
    return (item for piece in task.pieces for item in blocks_of(piece, job.read))


def load_shard(
    store: Store, task: ShardTask, label: str, apply: Applier | None, chain: Chain, counter: Counter
) -> Iterator[Batch]:
    """Load the records of a shard that the segment before left.

    Args:
        store: Folder of the run.
        task: Says which.
        label: Label of the global stage before.
        apply: The stage as a function of a table and its verdicts; None where there is no such stage.
        chain: Runs it.
        counter: Counts in place.

    Yields:
        At least one batch, with the verdicts applied.
    """
    part_file = PartFile(store, Phase.segment(task.segment - 1), task.shard)
    with chain.statistics.spending(label):
        verdicts = _verdicts_of_shard(store, task)
    row = 0
    for stored in part_file.batches():
        with chain.statistics.spending(label):
            table = stored.table
            counter.loaded += len(table)
            batch = Batch.of(table, stored.original, stored.base)
        if apply is not None:
            part = _verdicts_of_rows(verdicts, row, len(table))
            chain.run(label, lambda t, part=part: apply(t, part), batch)  # type: ignore[misc]
        row += len(table)
        yield batch


def _verdicts_of_shard(store: Store, task: ShardTask) -> pa.Table | None:
    """The verdicts about the records of a shard, in the order of their rows."""
    parts = []
    for name in task.verdicts:
        reader = store.read_arrow(name)
        if reader.num_record_batches == 0:
            continue
        part = rows_between(reader.read_all(), "shard", task.ordinal, task.ordinal)
        if len(part):
            parts.append(part)
    if not parts:
        return None
    merged = pa.concat_tables(parts)
    return merged.take(pc.sort_indices(merged, sort_keys=[("row", "ascending")]))


def _verdicts_of_rows(verdicts: pa.Table | None, start: int, count: int) -> pa.Table:
    """Verdicts for rows [start, start + count), renumbered from 0; an empty table when there are none."""
    if verdicts is None:
        return pa.table({"row": pa.array([], pa.int32())})
    part = rows_between(verdicts, "row", start, start + count - 1)
    position = pc.subtract(part["row"], pa.scalar(start, pa.int32()))
    return part.set_column(part.column_names.index("row"), "row", position).combine_chunks()
