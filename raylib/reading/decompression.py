"""Decompressed streams with a limit on expansion, so that a bomb stops early."""

from __future__ import annotations

import io
import os
import platform
from typing import Protocol

import pyarrow as pa

from raylib.errors import SourceError
from raylib.reading.damage import READ_ERRORS, Bomb
from raylib.reading.frames import Input, Members
from raylib.reading.zstd_frames import ZstdFrames

__all__ = [
    "CHUNK",
    "ByteStream",
    "Limited",
    "Transport",
    "check_available",
    "decompressed",
    "limit_of",
    "read_all",
    "unavailable",
]


CHUNK = 1 << 20


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


def check_available(path: str, stream: pa.NativeFile, error: Exception) -> None:
    """Tell damage from bytes that cannot be had, for readers that do not go through `Transport`.

    Args:
        path: Path of the file.
        stream: The open file.
        error: What was raised when it was read.

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
        self._rest = b""
        self._limit = limit_of(compressed, factor)
        self.error: Exception | None = None

    def readable(self) -> bool:
        """Always true; part of the interface of `io`."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most a megabyte; empty at the end and after an error."""
        wanted = min(size, CHUNK) if size and size > 0 else CHUNK
        data = self._rest or self._next(wanted)
        self._rest = data[wanted:]
        return data[:wanted] if self._rest else data

    def _next(self, wanted: int) -> bytes:
        """What the stream gives next, which may be more than what is wanted."""
        if self.error is not None:
            return b""
        try:
            data: bytes = self._read(wanted)
        except READ_ERRORS as error:
            self.error = error
            return b""
        self._out += len(data)
        if self._out > self._limit:
            self.error = Bomb(f"expands to over {self._limit >> 20} MiB (input.max_expansion)")
        return data


def limit_of(stored: int, factor: float) -> int:
    """The most bytes that a file may expand to; 256 MiB are allowed to any.

    Args:
        stored: Size of the file in bytes.
        factor: `input.max_expansion`.
    """
    return max(256 << 20, int(stored * factor))


def decompressed(stream: ByteStream, compression: str, size: int = 0) -> ByteStream:
    """A stream of the decompressed bytes, which raises `Damaged` where the last frame is not whole.

    Args:
        stream: Bytes as stored.
        compression: gzip, bz2, xz or zstd.
        size: Number of bytes as stored, for messages; 0 if nobody knows.
    """
    source = Input(stream, size)
    return ZstdFrames(source) if compression == "zstd" else Members(source, compression)


def read_all(stream: ByteStream, limit: int = 1 << 30) -> bytes:
    """All bytes of a stream; of a `Limited` one that ends early, those before its error.

    Args:
        stream: The stream.
        limit: Number of bytes above which it is too long.

    Raises:
        Bomb: The stream holds more than `limit` bytes.
    """
    parts, total = [], 0
    while data := stream.read(CHUNK):
        total += len(data)
        if total > limit:
            raise Bomb("a compressed table of over 1 GiB cannot be streamed; decompress it first")
        parts.append(data)
    return b"".join(parts)
