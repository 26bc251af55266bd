"""Members of zip and tar archives, each read like a file."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO, cast

import pyarrow as pa

from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.decompression import READ_ERRORS, Bomb, ByteStream, Limited, Transport, decompressed, error_of
from raylib.reading.filesystems import file_format
from raylib.reading.streams import stream_blocks

__all__ = ["tar_blocks", "zip_blocks"]

_OUTSIDE = Unreadable("unsafe_path", "path outside the archive")
_NESTED = Unreadable("nested_archive", "archives inside archives are not read")


def _unsafe(name: str) -> bool:
    """Whether a member's name points outside the archive."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":")


def _member_blocks(path: str, name: str, stream: ByteStream, size: int, options: ReadOptions) -> Iterator[Block]:
    """Blocks of one member; only a bomb is raised after its error block."""
    shown = f"{path}::{name}"
    found, compression = file_format(name)
    if found in ("zip", "tar"):
        yield Block(shown, "lines", error=_NESTED)
        return
    try:
        yield from stream_blocks(shown, found, compression, stream, size, options)
    except READ_ERRORS + (pa.ArrowException,) as error:
        yield Block(shown, "lines", error=error_of(error))
        if isinstance(error, Bomb):
            raise


def zip_blocks(path: str, stream: Transport, options: ReadOptions) -> Iterator[Block]:
    """Blocks of all members of a zip file, in the archive's order."""
    with zipfile.ZipFile(cast("IO[bytes]", stream)) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if _unsafe(member.filename):
                yield Block(f"{path}::{member.filename}", "lines", error=_OUTSIDE)
                continue
            with archive.open(member) as raw:
                limited = Limited(raw, member.compress_size, options.max_expansion)
                try:
                    yield from _member_blocks(path, member.filename, limited, member.compress_size, options)
                except Bomb:
                    continue  # reported by its error block; the next member may be harmless


def tar_blocks(path: str, stream: ByteStream, compression: str, size: int, options: ReadOptions) -> Iterator[Block]:
    """Blocks of all files in a tar archive, in the archive's order.

    Args:
        path: Path of the archive.
        stream: Its bytes as stored.
        compression: gzip, bz2, xz, zstd, or empty.
        size: Number of bytes as stored.
        options: How to read.

    Raises:
        Bomb: The members together are larger than `options.max_expansion` allows.
    """
    mode = {"": "r|*", "gzip": "r|gz", "bz2": "r|bz2", "xz": "r|xz"}.get(compression)
    if mode is None:
        stream, mode = decompressed(stream, compression), "r|"
    total = 0
    limit = max(256 << 20, int(size * options.max_expansion))
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for member in archive:
            if not member.isfile():
                continue
            if _unsafe(member.name):
                yield Block(f"{path}::{member.name}", "lines", error=_OUTSIDE)
                continue
            total += member.size
            if total > limit:
                raise Bomb(f"expands to over {limit >> 20} MiB (input.max_expansion)")
            raw = archive.extractfile(member)
            if raw is not None:
                yield from _member_blocks(path, member.name, raw, member.size, options)
