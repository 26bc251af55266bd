"""Files that appear whole or not at all: written under a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["FULL_VOLUME", "SUFFIX", "create_atomically", "mend_last_line", "sync", "write_atomically"]

FULL_VOLUME = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Numbers of errors that say that a volume takes no more data: no room, no quota, or mounted read-only."""


_STEP = 1 << 16  # bytes that are read at once, from the end of a file on
_PRIVATE, _PERMISSIONS = 0o600, 0o777
SUFFIX = ".tmp"  # of files that are being written, and of those that a killed process left


@contextmanager
def create_atomically(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary stream whose content appears at `path` when the block ends without an error.

    Missing folders are made. After an error, or when the process is killed, what was at `path` before is still there.
    While it is written, its user alone can read it; then it has the mode of what was there, or that of a new file.

    Args:
        path: Where the file goes, on a local disk.

    Yields:
        The stream to write to.

    Raises:
        OSError: the file cannot be written; the temporary file is removed.
    """
    target = os.fspath(path)
    folder = os.path.dirname(target) or "."
    os.makedirs(folder, exist_ok=True)
    temporary = f"{target}.{uuid.uuid4().hex[:12]}{SUFFIX}"
    try:
        with open(temporary, "xb") as stream:
            mode = _mode_of(target) or os.fstat(stream.fileno()).st_mode & _PERMISSIONS  # by the umask of its user
            _set_mode(stream.fileno(), _PRIVATE)
            yield stream
            stream.flush()
            _set_mode(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        sync(folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _mode_of(path: str) -> int:
    """Permissions of a file; 0 if there is none."""
    try:
        return os.stat(path).st_mode & _PERMISSIONS
    except OSError:
        return 0


def _set_mode(descriptor: int, mode: int) -> None:
    """Set permissions, where the file system has them."""
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a whole file atomically; see `create_atomically`.

    Args:
        path: Where the file goes, on a local disk.
        data: Its content.

    Raises:
        OSError: the file cannot be written.
    """
    with create_atomically(path) as stream:
        stream.write(data)


def mend_last_line(path: str | Path) -> int:
    """Make a file of JSON lines end with a whole line, so that lines can be appended to it.

    A process that is killed while it writes leaves a part of a line, and a power cut zeros in place of one.

    Args:
        path: The file, on a local disk; it need not exist.

    Returns:
        Number of bytes that were cut off; a whole line that only lacks its end gets it.

    Raises:
        OSError: it cannot be read or written.
    """
    if not os.path.isfile(path):
        return 0
    with open(path, "rb+") as stream:
        end = stream.seek(0, os.SEEK_END)
        begin, rest = end, b""
        while begin and b"\n" not in rest:
            step = min(begin, _STEP)
            begin -= step
            stream.seek(begin)
            rest = stream.read(step) + rest
        rest = rest[rest.rfind(b"\n") + 1 :]
        if not rest:
            return 0
        if _is_object(rest):
            stream.seek(end)
            stream.write(b"\n")
            return 0
        stream.truncate(end - len(rest))
        return len(rest)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def sync(path: str | Path) -> None:
    """Make the content of a file, or the renames in a folder, durable.

    Args:
        path: The file or folder, on a local disk.

    Raises:
        OSError: it cannot be opened or synchronised.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
