"""Blocks of one uncompressed stream, by its format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from raylib.reading.block import Block, ReadOptions
from raylib.reading.decompression import Limited, decompressed, read_all
from raylib.reading.tables import table_blocks
from raylib.reading.text import text_blocks

__all__ = ["stream_blocks"]


def stream_blocks(
    path: str, found: str, compression: str, stream: Any, size: int, options: ReadOptions
) -> Iterator[Block]:
    if compression:
        limited: Any = Limited(decompressed(stream, compression), size, options.max_expansion)
    else:
        limited = stream
    if found in ("parquet", "arrow"):
        yield from table_blocks(path, found, pa.BufferReader(read_all(limited)), 0, None)
        return
    yield from text_blocks(path, found, limited, options)
    for reader in (stream, limited):
        if isinstance(reader, Limited) and reader.error is not None:
            raise reader.error
