"""Blocks of one stream, decompressed if necessary, by its format."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from raylib.reading.block import Block, ReadOptions
from raylib.reading.damage import READ_ERRORS
from raylib.reading.decompression import ByteStream, Limited, decompressed, read_all
from raylib.reading.tables import TableFile, table_blocks
from raylib.reading.text import text_blocks

__all__ = ["stream_blocks"]


def stream_blocks(
    path: str, found: str, compression: str, stream: ByteStream, size: int, options: ReadOptions
) -> Iterator[Block]:
    """Blocks of a stream that is read from the beginning to the end.

    Args:
        path: Path that blocks and error messages show.
        found: Format by the file's name; empty if the name does not tell it.
        compression: gzip, bz2, xz, zstd, or empty.
        stream: Bytes as stored.
        size: Number of bytes as stored, for the limit on expansion.
        options: How to read.

    Raises:
        Damaged: The stream is cut or damaged. Blocks before the damage have been given by then. Other errors of
            reading (`READ_ERRORS`) pass through as well.
    """
    limited = Limited(decompressed(stream, compression, size), size, options.max_expansion) if compression else stream
    if found in ("parquet", "arrow"):
        try:
            table = pa.BufferReader(read_all(limited))
            yield from table_blocks(found, TableFile(path, table, size, options))
        except READ_ERRORS:
            _raise_error_of(stream, limited)  # what ends the stream says more than what that does to the table
            raise
    else:
        yield from text_blocks(path, found, limited, options)
    _raise_error_of(stream, limited)


def _raise_error_of(*readers: ByteStream) -> None:
    """Raise what ended a stream early."""
    for reader in readers:
        if isinstance(reader, Limited) and reader.error is not None:
            raise reader.error
