"""Parquet and Arrow files as blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from raylib.reading.block import Block

__all__ = ["table_blocks"]


_TABLE_BYTES = 8 << 20


def table_blocks(path: str, found: str, stream: Any, start: int, stop: int | None) -> Iterator[Block]:
    line = 1
    if found == "parquet":
        import pyarrow.parquet as pq

        parquet = pq.ParquetFile(stream)
        for i in range(start):
            line += parquet.metadata.row_group(i).num_rows
        groups = range(start, parquet.num_row_groups if stop is None else stop)
        rows = sum(parquet.metadata.row_group(i).num_rows for i in groups)
        size = sum(parquet.metadata.row_group(i).total_byte_size for i in groups)
        # rows of a megabyte each come a few at a time, so that no batch outgrows a block
        batch_rows = max(1, min(4096, int(_TABLE_BYTES * rows / max(size, 1))))
        for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=groups):
            yield Block(path, "table", line, table=pa.Table.from_batches([batch]))
            line += len(batch)
        return
    try:
        reader = pa.ipc.open_file(stream)
    except pa.ArrowInvalid:
        stream.seek(0)
        for batch in pa.ipc.open_stream(stream):
            yield Block(path, "table", line, table=pa.Table.from_batches([batch]))
            line += len(batch)
        return
    for i in range(reader.num_record_batches if stop is None else stop):
        batch = reader.get_batch(i)
        if i >= start:
            yield Block(path, "table", line, table=pa.Table.from_batches([batch]))
        line += len(batch)
