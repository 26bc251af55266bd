"""The entrance of `raylib.reading`: the blocks of a piece of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from raylib.reading.archives import tar_blocks, zip_blocks
from raylib.reading.block import Block, ReadOptions
from raylib.reading.decompression import READ_ERRORS, error_of
from raylib.reading.filesystems import file_format, open_filesystem
from raylib.reading.streams import stream_blocks
from raylib.reading.tables import table_blocks
from raylib.reading.units import Piece

__all__ = ["blocks_of"]


def blocks_of(piece: Piece, options: ReadOptions) -> Iterator[Block]:
    """Blocks of a file (or a part of a Parquet or Arrow file), in order.

    Args:
        piece: What to read.
        options: How to read.

    Returns:
        Blocks of whole records. Reading errors become error blocks and are never raised.
    """
    path = piece.file.path
    found, compression = file_format(path)
    try:
        system, inner = open_filesystem(path)
        if found in ("parquet", "arrow") and not compression:
            with system.open_input_file(inner) as stream:
                yield from table_blocks(path, found, stream, piece.start, piece.stop)
        elif found == "zip" and not compression:
            with system.open_input_file(inner) as stream:
                yield from zip_blocks(path, stream, options)
        else:
            with system.open_input_file(inner) as stream:
                if found == "tar":
                    blocks = tar_blocks(path, stream, compression, piece.file.size, options)
                else:
                    blocks = stream_blocks(path, found, compression, stream, piece.file.size, options)
                for block in blocks:
                    yield replace(block, consumed=stream.tell())
    except READ_ERRORS + (pa.ArrowException,) as error:
        yield Block(path, "lines", error=error_of(error))
