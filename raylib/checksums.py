"""Checksums: of files, counted while they are written, and of lines, each of which carries its own.

They find what disks, memory and cables do to data, not what somebody does on purpose: XXH3 with 64 bits, which costs a
tenth of a second for a gigabyte.
"""

from __future__ import annotations

import io
import re
from typing import IO, TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["SummedStream", "checksum", "checksum_of", "opened", "sealed"]

_CHUNK = 1 << 20  # bytes that are read at once
_SEAL = re.compile(rb',"line":"([0-9a-f]{16})"}\Z')
_SEALED = b',"line":'


def checksum(data: bytes) -> str:
    """Checksum of data in memory, 16 hexadecimal digits.

    Args:
        data: The data.
    """
    return xxhash.xxh3_64_hexdigest(data)


def checksum_of(stream: IO[bytes]) -> tuple[int, str]:
    """Size and checksum of what a stream holds from its position on.

    Args:
        stream: The stream, which is read to its end.
    """
    state, size = xxhash.xxh3_64(), 0
    while data := stream.read(_CHUNK):
        state.update(data)
        size += len(data)
    return size, state.hexdigest()


class SummedStream(io.RawIOBase):
    """Passes on what is written, and counts it. Closing it leaves the other stream open.

    Args:
        stream: Where the data go.

    Attributes:
        size: Number of bytes so far.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self.size = 0
        self._stream, self._state = stream, xxhash.xxh3_64()

    def writable(self) -> bool:
        """Whether this can be written to."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Write data.

        Args:
            data: Bytes, or another object that gives a buffer of bytes.

        Returns:
            Number of bytes, which is all of them.
        """
        view = memoryview(data).cast("B")
        self._stream.write(view)
        self._state.update(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        """Number of bytes so far."""
        return self.size

    @property
    def checksum(self) -> str:
        """Checksum of what was written so far."""
        return self._state.hexdigest()


def sealed(line: bytes) -> bytes:
    """A line of JSON that carries its checksum as its last key, `line`.

    Args:
        line: An object in JSON that has keys, without spaces at its end.
    """
    return b'%s%s"%s"}' % (line[:-1], _SEALED, checksum(line).encode())


def opened(line: bytes, *, strict: bool = False) -> bytes | None:
    """A line without its checksum.

    Args:
        line: A line, which `sealed` made or which is older.
        strict: Whether a line without a checksum is damaged.

    Returns:
        The line that `sealed` was given, or an older one as it is; None if the line is damaged.
    """
    found = _SEAL.search(line)
    if found is None:
        return None if strict or _SEALED in line else line
    body = line[: found.start()] + b"}"
    return body if checksum(body) == found[1].decode() else None
