"""The entrance of `raylib.reading`: the blocks of a piece of a file."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, cast

import pyarrow as pa

from raylib.errors import RaylibError
from raylib.reading.archives import zip_blocks
from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.cut_zips import cut_zip_blocks
from raylib.reading.damage import READ_ERRORS, error_of
from raylib.reading.decompression import Transport, check_available, unavailable
from raylib.reading.filesystems import file_format, open_filesystem
from raylib.reading.signatures import SIGNATURE_BYTES, foreign, pointer
from raylib.reading.sources import SourceFile
from raylib.reading.streams import stream_blocks
from raylib.reading.tables import TableFile, table_blocks
from raylib.reading.tars import tar_blocks
from raylib.reading.units import Piece

__all__ = ["blocks_of"]

_POINTER_BYTES = 1024  # pointers of Git LFS are smaller
_NAMES = {"parquet": "Parquet", "arrow": "an Arrow file", "zip": "a zip archive", "tar": "a tar archive"}

_log = logging.getLogger(__name__)


def blocks_of(piece: Piece, options: ReadOptions) -> Iterator[Block]:
    """Blocks of a file (or a part of a Parquet or Arrow file), in order.

    Args:
        piece: What to read.
        options: How to read.

    Returns:
        Blocks of whole records. Whatever ends the reading of the file early is an error block that says what was not
        read, and is never raised: it is no matter of the files beside it.

    Raises:
        SourceError: The file cannot be opened, or its bytes cannot be had: it is missing on this machine, or may not
            be read, or its disk or server fails. Another attempt may succeed.
    """
    file = piece.file
    if file.error is not None:  # known since the file was found: nothing of it is opened
        yield Block(file.path, "lines", error=file.error)
        return
    with _open(file) as stream:
        try:
            small = _pointer_in(file, stream)
            if small is not None:
                yield Block(file.path, "lines", error=small)
                return
            for block in _blocks(piece, stream, options):
                yield replace(block, consumed=stream.tell())
        except RaylibError:
            raise
        except READ_ERRORS as error:
            check_available(file.path, stream, error)
            yield Block(file.path, "lines", error=_explained(file, stream, error))
        except Exception as error:  # noqa: BLE001 - a file must not take its neighbours along, whatever is in it
            _log.exception("%s: this is a bug of raylib; please report it", file.path)
            yield Block(file.path, "lines", error=error_of(error))


def _blocks(piece: Piece, stream: pa.NativeFile, options: ReadOptions) -> Iterator[Block]:
    """Blocks by the format that the file's name promises."""
    file = piece.file
    found, compression = file_format(file.path)
    if found in ("parquet", "arrow") and not compression:
        table = TableFile(file.path, stream, file.size, options, piece.start, piece.stop)
        return table_blocks(found, table)
    raw = Transport(stream, file.path)
    if found == "zip" and not compression:
        return _zip_blocks(file, raw, options)
    if found == "tar":
        return tar_blocks(file.path, raw, compression, file.size, options)
    return stream_blocks(file.path, found, compression, raw, file.size, options)


def _zip_blocks(file: SourceFile, raw: Transport, options: ReadOptions) -> Iterator[Block]:
    """Blocks of a zip archive, by its directory where it has one."""
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", raw))
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:  # of a name or a version
        return cut_zip_blocks(file.path, raw, file.size, error, options)
    return zip_blocks(file.path, archive, options)


def _open(file: SourceFile) -> pa.NativeFile:
    try:
        system, inner = open_filesystem(file.location)
        return system.open_input_file(inner)
    except OSError as error:
        raise unavailable(file.path, error) from error


def _pointer_in(file: SourceFile, stream: pa.NativeFile) -> Unreadable | None:
    """The reject of a file that is a pointer of Git LFS."""
    if not 0 < file.size < _POINTER_BYTES:
        return None
    raw = Transport(stream, file.path)
    head = raw.read(SIGNATURE_BYTES)
    stream.seek(0)
    return pointer(head)


def _explained(file: SourceFile, stream: pa.NativeFile, error: Exception) -> Unreadable:
    """The reject of a file that cannot be read; says what the file is if its name says something else."""
    found, compression = file_format(file.path)
    if compression or found not in _NAMES:
        return error_of(error)
    stream.seek(0)
    other = foreign(stream.read(SIGNATURE_BYTES), _NAMES[found])
    if other is not None and _NAMES[found].split()[-1].lower() not in other.detail.split(",")[0].lower():
        return other
    reason, detail = error_of(error)
    return Unreadable(reason, f"{detail} ({file.size:,} bytes in the file)")
