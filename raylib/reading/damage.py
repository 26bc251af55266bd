"""What is wrong with a file: errors that end its reading, and the rejects that they become."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib

import pyarrow as pa
import zstandard

from raylib.reading.block import Unreadable

__all__ = ["READ_ERRORS", "Bomb", "Damaged", "error_of"]


class Damaged(Exception):
    """A file, or a part of it, cannot be read on: it is cut, damaged, or not what its name says.

    Attributes:
        reason: Reason of the reject, such as `truncated_file`.
        detail: What is wrong, where, and how much of the file was not read.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Bomb(OSError):
    """A file expands to more than `input.max_expansion` allows."""


READ_ERRORS = (
    Damaged,
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    zstandard.ZstdError,
    pa.ArrowException,
)
"""What decoders and parsers raise when a file is damaged."""


def error_of(error: BaseException) -> Unreadable:
    """The reason and detail with which an error of reading is reported in the rejects.

    Args:
        error: The error; one that no decoder is known to raise is named by its type as well.
    """
    if isinstance(error, Damaged):
        return Unreadable(error.reason, error.detail)
    if isinstance(error, Bomb):
        return Unreadable("expansion_limit", str(error))
    if isinstance(error, EOFError) or (isinstance(error, tarfile.ReadError) and "end of data" in str(error)):
        return Unreadable("truncated_file", str(error) or "the file ends in the middle")
    return Unreadable("unreadable_file", f"{type(error).__name__}: {error}"[:1000])
