"""The entrance of `raylib.reading`: the blocks of a piece of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from raylib.reading.archives import tar_blocks, zip_blocks
from raylib.reading.block import Block, ReadOptions
from raylib.reading.decompression import READ_ERRORS, Transport, error_of, unavailable
from raylib.reading.filesystems import file_format, open_filesystem
from raylib.reading.sources import SourceFile
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
        Blocks of whole records. Damage inside the file becomes error blocks and is never raised.

    Raises:
        SourceError: The file cannot be opened, or its bytes cannot be had: it is missing on this machine, or may not
            be read, or its disk or server fails. Another attempt may succeed.
    """
    file = piece.file
    if file.error is not None:  # known since the file was found: nothing of it is opened
        yield Block(file.path, "lines", error=file.error)
        return
    found, compression = file_format(file.path)
    with _open(file) as stream:
        try:
            if found in ("parquet", "arrow") and not compression:
                yield from table_blocks(file.path, found, stream, piece.start, piece.stop)
            elif found == "zip" and not compression:
                yield from zip_blocks(file.path, Transport(stream, file.path), options)
            else:
                raw = Transport(stream, file.path)
                if found == "tar":
                    blocks = tar_blocks(file.path, raw, compression, file.size, options)
                else:
                    blocks = stream_blocks(file.path, found, compression, raw, file.size, options)
                for block in blocks:
                    yield replace(block, consumed=stream.tell())
        except READ_ERRORS + (pa.ArrowException,) as error:
            _check_available(file.path, stream, error)
            yield Block(file.path, "lines", error=error_of(error))


def _open(file: SourceFile) -> pa.NativeFile:
    try:
        system, inner = open_filesystem(file.location)
        return system.open_input_file(inner)
    except OSError as error:
        raise unavailable(file.path, error) from error


def _check_available(path: str, stream: pa.NativeFile, error: Exception) -> None:
    """Tell damage from bytes that cannot be had, for readers that do not go through `Transport`.

    Raises:
        SourceError: The error has the number of a failed system call, or the file's last byte cannot be read either.
    """
    if isinstance(error, OSError) and error.errno:
        raise unavailable(path, error) from error
    try:
        stream.seek(max(0, stream.size() - 1))
        stream.read(1)
    except OSError as failed:
        raise unavailable(path, failed) from error
