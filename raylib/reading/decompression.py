"""Decompressed streams with a limit on expansion, so that a bomb stops early."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import platform
import tarfile
import zipfile
import zlib
from typing import IO, Protocol, cast

import pyarrow as pa
import zstandard

from raylib.errors import SourceError
from raylib.reading.block import Unreadable

__all__ = [
    "CHUNK",
    "READ_ERRORS",
    "Bomb",
    "ByteStream",
    "Limited",
    "Transport",
    "decompressed",
    "error_of",
    "read_all",
    "unavailable",
]


CHUNK = 1 << 20
READ_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    zstandard.ZstdError,
)


class ByteStream(Protocol):
    """Anything that bytes can be read from: files of pyarrow, members of archives, decompressors."""

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes at most; empty at the end."""
        ...


class Transport:
    """The bytes of a file as stored. When they cannot be had, that is no damage of the file: SourceError.

    What a decoder complains about (`READ_ERRORS`) is damage, which the next attempt would meet again; it goes to the
    rejects. A disk, a network or a server that fails is another matter: the file has to be read again later.

    Args:
        stream: The open file.
        path: Path or URI of the file, for the message.
    """

    def __init__(self, stream: pa.NativeFile, path: str) -> None:
        self._stream, self._path = stream, path
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes at most; empty at the end.

        Raises:
            SourceError: The bytes cannot be had.
        """
        try:
            data: bytes = self._stream.read(None if size < 0 else size)
        except OSError as error:
            raise unavailable(self._path, error) from error
        return data


def unavailable(path: str, error: Exception) -> SourceError:
    """The error for a file that cannot be opened or read on this machine, though it may be on another or later."""
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return SourceError(f"cannot read input file {path} on {platform.node()}: {reason}")


class Bomb(OSError):
    """A compressed file expands to more than `input.max_expansion` allows."""


class Limited(io.RawIOBase):
    """A reader that ends early, with the reason in `error`, when its stream is damaged or a bomb.

    The bytes before the damage are still useful, so the error is kept until they have been processed.

    Args:
        stream: Stream of decompressed bytes.
        compressed: Size of the compressed data in bytes.
        factor: Largest allowed ratio of decompressed to compressed bytes (beyond 256 MiB).
    """

    def __init__(self, stream: ByteStream, compressed: int, factor: float) -> None:
        # read1 returns the bytes before the end of a truncated file; read would lose them
        self._read, self._out = getattr(stream, "read1", stream.read), 0
        self._limit = max(256 << 20, int(compressed * factor))
        self.error: Exception | None = None

    def readable(self) -> bool:
        """Always true; part of the interface of `io`."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most a megabyte; empty at the end and after an error."""
        if self.error is not None:
            return b""
        try:
            data: bytes = self._read(min(size, CHUNK) if size and size > 0 else CHUNK)
        except READ_ERRORS as error:
            self.error = error
            return b""
        self._out += len(data)
        if self._out > self._limit:
            self.error = Bomb(f"expands to over {self._limit >> 20} MiB (input.max_expansion)")
        return data


def decompressed(stream: ByteStream, compression: str) -> ByteStream:
    """A stream of the decompressed bytes; `compression` is gzip, bz2, xz or zstd."""
    source = cast(IO[bytes], stream)
    if compression == "gzip":
        return gzip.GzipFile(fileobj=source)
    if compression == "bz2":
        return bz2.BZ2File(source)
    if compression == "xz":
        return lzma.LZMAFile(source)
    reader: ByteStream = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    return reader


def error_of(error: BaseException) -> Unreadable:
    """The reason and detail with which a reading error is reported in the rejects."""
    if isinstance(error, Bomb):
        return Unreadable("expansion_limit", str(error))
    if isinstance(error, EOFError):
        return Unreadable("truncated_file", str(error) or "the file ends in the middle")
    return Unreadable("unreadable_file", f"{type(error).__name__}: {error}")


def read_all(stream: ByteStream, limit: int = 1 << 30) -> bytes:
    """All bytes of a stream.

    Raises:
        Bomb: The stream holds more than `limit` bytes.
    """
    parts, total = [], 0
    while data := stream.read(CHUNK):
        total += len(data)
        if total > limit:
            raise Bomb("a compressed table of over 1 GiB cannot be streamed; decompress it first")
        parts.append(data)
    if isinstance(stream, Limited) and stream.error is not None:
        raise stream.error
    return b"".join(parts)
