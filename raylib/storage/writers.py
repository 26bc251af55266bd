"""Table writers: Parquet, compressed JSON lines, Arrow."""

from __future__ import annotations

from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from raylib.storage.layouts import json_row

__all__ = ["EXTENSIONS", "TableWriter"]


_ROW_GROUP_BYTES = 32 << 20
EXTENSIONS = {"parquet": "parquet", "jsonl": "jsonl.zst", "arrow": "arrow"}


class TableWriter:
    """Writes tables of one schema to one stream as Parquet (zstd), JSON lines (zstd) or Arrow IPC."""

    def __init__(self, stream: IO[bytes], file_format: str, layout: str = "") -> None:
        self._stream, self._format, self._layout = stream, file_format, layout
        self._writer: Any = None
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        if len(table) == 0:
            return
        self.rows += len(table)
        self._held.append(table)
        self._held_bytes += table.nbytes
        if self._held_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        table = pa.concat_tables(self._held).combine_chunks()
        self._held, self._held_bytes = [], 0
        if self._format == "jsonl":
            if self._writer is None:
                self._writer = zstandard.ZstdCompressor(level=3).stream_writer(self._stream, closefd=False)
            for row in table.to_pylist():
                self._writer.write(orjson.dumps(json_row(row, self._layout)) + b"\n")
            return
        if self._writer is None:
            if self._format == "parquet":
                self._writer = pq.ParquetWriter(self._stream, table.schema, compression="zstd", compression_level=1)
            else:
                self._writer = pa.ipc.new_file(
                    self._stream, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
                )
        if len(table) or self._format == "parquet":
            self._writer.write_table(table)

    def close(self, empty: pa.Table) -> None:
        """Finish the file; `empty` gives the schema of a file without rows."""
        if self.rows == 0 and not self._held:
            self._held.append(empty)
        self._flush()
        if self._writer is not None:
            self._writer.close()
