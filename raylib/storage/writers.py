"""Table writers: Parquet, compressed JSON lines, Arrow."""

from __future__ import annotations

from typing import IO, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from raylib.messages import rows_of
from raylib.storage.layouts import json_row

__all__ = ["EXTENSIONS", "TableWriter"]


_ROW_GROUP_BYTES = 32 << 20
EXTENSIONS = {"parquet": "parquet", "jsonl": "jsonl.zst", "arrow": "arrow"}


class TableWriter:
    """Writes tables of one schema to one stream as Parquet (zstd), JSON lines (zstd) or Arrow IPC.

    Attributes:
        rows: Number of rows given to `write`.
    """

    def __init__(self, stream: IO[bytes], file_format: str, layout: str = "") -> None:
        self._sink = _open_sink(stream, file_format, layout)
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Add rows; they reach the stream in groups of about 32 MiB."""
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
        self._sink.write(table)

    def close(self, empty: pa.Table) -> None:
        """Finish the file, but leave the stream open.

        Args:
            empty: Gives the schema of a file without rows.
        """
        if self.rows == 0 and not self._held:
            self._held.append(empty)
        self._flush()
        self._sink.close()


class _Sink(Protocol):
    """A file of one format that is being written."""

    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


def _open_sink(stream: IO[bytes], file_format: str, layout: str) -> _Sink:
    if file_format == "jsonl":
        return _JsonLines(stream, layout)
    return _Parquet(stream) if file_format == "parquet" else _Arrow(stream)


class _JsonLines:
    def __init__(self, stream: IO[bytes], layout: str) -> None:
        self._stream, self._layout = stream, layout
        self._compressed: zstandard.ZstdCompressionWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self._compressed is None:
            self._compressed = zstandard.ZstdCompressor(level=3).stream_writer(self._stream, closefd=False)
        for row in rows_of(table):
            self._compressed.write(orjson.dumps(json_row(row, self._layout)) + b"\n")

    def close(self) -> None:
        if self._compressed is not None:
            self._compressed.flush(zstandard.FLUSH_FRAME)  # the stream stays open


class _Parquet:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, table.schema, compression="zstd", compression_level=1)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Arrow:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            self._writer = pa.ipc.new_file(self._stream, table.schema, options=options)
        if len(table):
            self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
