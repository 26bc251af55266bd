"""Decompressed streams with a limit on expansion, so that a bomb stops early."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from typing import IO, Any

__all__ = ["CHUNK", "READ_ERRORS", "Bomb", "Limited", "decompressed", "error_of", "read_all"]


CHUNK = 1 << 20
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)


class Bomb(OSError):
    pass


class Limited(io.RawIOBase):
    """A reader that ends early, with the reason in `error`, when its stream is damaged or a bomb.

    What was read before the damage is worth having, so the error waits until that was worked through.
    """

    def __init__(self, stream: IO[bytes], compressed: int, factor: float) -> None:
        # read1 gives what is there before it runs into the end of a cut file; read would lose it
        self._read, self._out = getattr(stream, "read1", stream.read), 0
        self._limit = max(256 << 20, int(compressed * factor))
        self.error: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self.error is not None:
            return b""
        try:
            data = self._read(min(size, CHUNK) if size and size > 0 else CHUNK)
        except READ_ERRORS as error:
            self.error = error
            return b""
        self._out += len(data)
        if self._out > self._limit:
            self.error = Bomb(f"expands to over {self._limit >> 20} MiB (input.max_expansion)")
        return data


def decompressed(stream: Any, compression: str) -> Any:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if compression == "bz2":
        return bz2.BZ2File(stream)
    if compression == "xz":
        return lzma.LZMAFile(stream)
    import zstandard

    reader: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return reader


def error_of(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Bomb):
        return "expansion_limit", str(error)
    if isinstance(error, EOFError):
        return "truncated_file", str(error) or "the file ends in the middle"
    return "unreadable_file", f"{type(error).__name__}: {error}"


def read_all(stream: Any, limit: int = 1 << 30) -> bytes:
    parts, total = [], 0
    while data := stream.read(CHUNK):
        total += len(data)
        if total > limit:
            raise Bomb("a compressed table of over 1 GiB cannot be streamed; decompress it first")
        parts.append(data)
    if isinstance(stream, Limited) and stream.error is not None:
        raise stream.error
    return b"".join(parts)
