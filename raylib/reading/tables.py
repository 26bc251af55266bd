"""Parquet and Arrow files as blocks of rows, cut by bytes; rows and files that are too large become rejects."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from raylib.reading.arrow_layout import Layout, layout_of
from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.damage import READ_ERRORS, Bomb, Damaged, error_of
from raylib.reading.decompression import check_available, limit_of
from raylib.reading.parquet_pages import dictionary_bytes
from raylib.reading.row_checks import checked, readable_runs
from raylib.reading.row_sizes import cuts, is_flat, row_sizes

__all__ = ["TableFile", "table_blocks"]

_TABLE_BYTES = 8 << 20
_TABLE_ROWS = 4096
_JOINED_BYTES = 1 << 20
_DICTIONARIES = 256 << 20  # bytes that dictionaries may unfold to at once


@dataclass
class TableFile:
    """A Parquet or Arrow file, or a part of one.

    Attributes:
        path: Path that blocks and error messages show.
        stream: The file, open for random access.
        size: Number of bytes as stored, for the limit on expansion.
        options: How to read.
        start: Index of the first row group (Parquet) or batch (Arrow) to read.
        stop: Index behind the last one; None reads to the end.
        line: Number of the row that is read next, from 1.
        unfolded: Number of bytes that the rows read so far unfold to.
    """

    path: str
    stream: pa.NativeFile
    size: int
    options: ReadOptions
    start: int = 0
    stop: int | None = None
    line: int = 1
    unfolded: int = 0

    def check_size(self, size: int) -> None:
        """Refuse a row group or batch that says of itself that it unfolds to more than the whole file may.

        Raises:
            Damaged: It is larger, or its size is damaged; the next one may be fine.
        """
        limit = limit_of(self.size, self.options.max_expansion)
        if not 0 <= size <= limit:
            raise Damaged("expansion_limit", f"expands to {size >> 20:,} MiB, over {limit >> 20} (input.max_expansion)")

    def spend(self, size: int) -> None:
        """Count bytes that rows unfold to.

        Raises:
            Bomb: They are more than the file may expand to.
        """
        self.unfolded += size
        limit = limit_of(self.size, self.options.max_expansion)
        if self.unfolded > limit:
            raise Bomb(f"expands to over {limit >> 20} MiB (input.max_expansion)")

    def refused(self, end: int, error: Exception) -> Block:
        """The reject of the rows up to row `end`, which cannot be read.

        Raises:
            SourceError: The bytes of the file cannot be had.
        """
        check_available(self.path, self.stream, error)
        reason, detail = error_of(error)
        rows = end - self.line
        detail = f"{detail}; {rows:,} rows from row {self.line:,} on were not read"
        block = Block(self.path, "lines", self.line, error=Unreadable(reason, detail))
        self.line = end
        return block

    def blocks(self, batch: pa.RecordBatch) -> Iterator[Block]:
        """A batch as blocks of about 8 MB.

        Args:
            batch: The rows.

        Raises:
            Bomb: The file expands too much.
            Damaged: The batch is no valid one.
        """
        valid = checked(batch)
        most = min(_TABLE_BYTES, self.options.max_record_bytes)
        if len(batch) <= _TABLE_ROWS and batch.nbytes <= most and valid and is_flat(batch.schema):
            self.spend(batch.nbytes)
            yield Block(self.path, "table", self.line, table=pa.Table.from_batches([batch]))
            self.line += len(batch)
            return
        sizes = row_sizes(batch)
        borders = cuts(sizes, most, _TABLE_ROWS)
        first = self.line
        for begin, end in itertools.pairwise(borders):
            taken = int(sizes[begin:end].sum())
            self.spend(taken)
            if taken > self.options.max_record_bytes and end == begin + 1:
                yield self._too_long(taken)
            else:
                part = batch if len(borders) == 2 else _by_itself(batch.slice(begin, end - begin))
                for at, found in [(0, part)] if valid else readable_runs(part):
                    line = first + begin + at
                    if isinstance(found, Unreadable):
                        yield Block(self.path, "lines", line, error=found)
                    else:
                        yield Block(self.path, "table", line, table=pa.Table.from_batches([found]))
            self.line = first + end

    def _too_long(self, size: int) -> Block:
        """The reject of a row that is larger than a record may be."""
        limit = self.options.max_record_bytes >> 20
        detail = f"row of {size >> 20} MiB, the limit is {limit} MiB (input.max_record_mb)"
        return Block(self.path, "lines", self.line, error=Unreadable("record_too_long", detail))


def _by_itself(part: pa.RecordBatch) -> pa.RecordBatch:
    """A slice without the buffers of the batch that it is cut from, which would travel with it between processes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.schema) as writer:
        writer.write_batch(part)
    with pa.ipc.open_stream(sink.getvalue()) as reader:
        return reader.read_next_batch()


def table_blocks(found: str, file: TableFile) -> Iterator[Block]:
    """Blocks of a Parquet or Arrow file. What can be read in front of damage, or behind it, is given.

    Args:
        found: `parquet` or `arrow` (files and streams of Arrow's IPC format).
        file: The file.

    Raises:
        Damaged: The file ends early. Other errors of `READ_ERRORS` say that nothing of it can be read.
    """
    yield from _parquet_blocks(file) if found == "parquet" else _arrow_blocks(file)


def _parquet_blocks(file: TableFile) -> Iterator[Block]:
    """Blocks of row groups; one that is damaged is a reject, and the next one is read."""
    parquet = pq.ParquetFile(file.stream)
    metadata = parquet.metadata
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    stop = len(rows) if file.stop is None else file.stop
    file.line = 1 + sum(rows[: file.start])
    last = file.line + sum(rows[file.start : stop])
    for number in range(file.start, stop):
        end = file.line + rows[number]
        try:
            for batch in _batches_of_group(file, parquet, number):
                yield from file.blocks(batch)
            if file.line != end:
                raise Damaged("truncated_file", f"row group {number} has fewer rows than the file says")
        except Bomb as error:
            yield file.refused(last, error)
            return
        except READ_ERRORS as error:
            yield file.refused(end, error)


def _batches_of_group(file: TableFile, parquet: pq.ParquetFile, number: int) -> Iterator[pa.RecordBatch]:
    """Batches of a row group, each of so few rows that it cannot outgrow a block by much."""
    group = parquet.metadata.row_group(number)
    file.check_size(group.total_byte_size)
    rows = min(_TABLE_ROWS, _TABLE_BYTES * group.num_rows // max(group.total_byte_size, 1))
    rows = min(rows, _DICTIONARIES // max(dictionary_bytes(file.stream, group, parquet.schema), 1))
    yield from _joined(parquet.iter_batches(batch_size=max(1, rows), row_groups=[number]))


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches with small ones joined, so that each is worth the work around it."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows, size = rows + len(batch), size + batch.nbytes
        if rows >= _TABLE_ROWS or size >= _JOINED_BYTES:
            yield from _one(held)
            held, rows, size = [], 0, 0
    yield from _one(held)


def _one(batches: list[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Some batches as one."""
    return batches if len(batches) < 2 else pa.Table.from_batches(batches).combine_chunks().to_batches()


def _arrow_blocks(file: TableFile) -> Iterator[Block]:
    """Blocks of the batches of an Arrow file or stream."""
    layout = layout_of(file.stream)
    frames = layout.frames
    stop = len(frames) if file.stop is None else file.stop
    file.line = 1 + sum(frame.rows for frame in frames[: file.start])
    last = file.line + sum(frame.rows for frame in frames[file.start : stop])
    take = _taker(file.stream, layout) if frames else None
    for number in range(file.start, stop):
        end = file.line + frames[number].rows
        try:
            file.check_size(frames[number].decoded)
            assert take is not None
            yield from file.blocks(take(number))
        except Bomb as error:
            yield file.refused(last, error)
            return
        except READ_ERRORS as error:
            yield file.refused(end if layout.indexed else last, error)
            if not layout.indexed:
                return
    left = file.stream.size() - layout.place
    if layout.whole and left:
        raise Damaged("unreadable_file", f"{left:,} bytes behind the end of the stream were not read")
    if not layout.whole:
        raise Damaged(
            "truncated_file",
            f"the file has no end at byte {layout.place:,}, where its last whole batch ends; "
            f"{left:,} bytes behind it were not read",
        )


def _taker(stream: pa.NativeFile, layout: Layout) -> Callable[[int], pa.RecordBatch]:
    """What gives the batch of a number; of a stream, they have to be taken one after the other."""
    if layout.indexed:
        take: Callable[[int], pa.RecordBatch] = pa.ipc.open_file(stream).get_batch
        return take
    stream.seek(layout.begin)
    in_order = pa.ipc.open_stream(stream)
    return lambda _: in_order.read_next_batch()
