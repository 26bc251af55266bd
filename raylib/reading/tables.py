"""Parquet and Arrow files as blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from raylib.reading.block import Block

__all__ = ["table_blocks"]


_TABLE_BYTES = 8 << 20


def table_blocks(path: str, found: str, stream: pa.NativeFile, start: int, stop: int | None) -> Iterator[Block]:
    """Blocks of a Parquet or Arrow file.

    Args:
        path: Path that blocks and error messages show.
        found: `parquet` or `arrow` (files and streams of Arrow's IPC format).
        stream: The file, open for random access.
        start: Index of the first row group (Parquet) or batch (Arrow) to read.
        stop: Index behind the last one; None reads to the end.
    """
    read = _parquet_batches if found == "parquet" else _arrow_batches
    for line, batch in read(stream, start, stop):
        yield Block(path, "table", line, table=pa.Table.from_batches([batch]))


def _parquet_batches(stream: pa.NativeFile, start: int, stop: int | None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of row groups, each with the number of its first row, from 1."""
    parquet = pq.ParquetFile(stream)
    line = 1 + sum(parquet.metadata.row_group(i).num_rows for i in range(start))
    groups = range(start, parquet.num_row_groups if stop is None else stop)
    rows = sum(parquet.metadata.row_group(i).num_rows for i in groups)
    size = sum(parquet.metadata.row_group(i).total_byte_size for i in groups)
    # rows of a megabyte each come a few at a time, so that no batch outgrows a block
    batch_rows = max(1, min(4096, int(_TABLE_BYTES * rows / max(size, 1))))
    for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=groups):
        yield line, batch
        line += len(batch)


def _arrow_batches(stream: pa.NativeFile, start: int, stop: int | None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of an Arrow file or stream, each with the number of its first row, from 1."""
    line = 1
    try:
        reader = pa.ipc.open_file(stream)
    except pa.ArrowInvalid:  # the stream format has no index: all of it is read
        stream.seek(0)
        for batch in pa.ipc.open_stream(stream):
            yield line, batch
            line += len(batch)
        return
    for i in range(reader.num_record_batches if stop is None else stop):
        batch = reader.get_batch(i)
        if i >= start:
            yield line, batch
        line += len(batch)
