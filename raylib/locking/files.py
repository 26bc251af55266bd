"""Lock files: in the folder that is locked, or beside the file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from raylib.errors import LockedError
from raylib.locking.holder import Holder, check_earlier_holder, held_error, lost_error
from raylib.locking.holding import LOCK_NAME, Lock, locked_by

__all__ = ["locked", "locked_file"]

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}  # what flock says of a lock that another process holds
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}  # on some cluster file systems
_SETTLING = 0.5  # seconds in which two processes that take over at the same time notice each other


@contextmanager
def locked(folder: str | os.PathLike[str], shown: str = "") -> Iterator[Lock]:
    """Hold the lock of a folder for the block. The folder is made if it does not exist.

    Args:
        folder: The folder, on a local or shared file system.
        shown: The folder as the user wrote it, for messages.

    Yields:
        The lock.

    Raises:
        LockedError: another process holds it.
    """
    os.makedirs(folder, exist_ok=True)
    with locked_by(_FileLock(os.path.join(folder, LOCK_NAME), shown or os.fspath(folder))) as lock:
        yield lock


@contextmanager
def locked_file(file: str | os.PathLike[str]) -> Iterator[Lock]:
    """Hold the lock of a file that is appended to for the block: a hidden file beside it.

    Args:
        file: The file; its folder exists.

    Yields:
        The lock.

    Raises:
        LockedError: another process holds it.
    """
    folder, name = os.path.split(os.path.abspath(file))
    with locked_by(_FileLock(os.path.join(folder, f".{name}{LOCK_NAME}"), os.fspath(file))) as lock:
        yield lock


class _FileLock:
    """A lock file, locked by the operating system."""

    def __init__(self, path: str, shown: str) -> None:
        self._path, self._shown = path, shown
        self._me = Holder.this()
        self._stream = -1

    def take(self) -> None:
        """Take the lock; what a killed process of this machine left is no lock."""
        try:
            self._stream, carried = self._open()
        except PermissionError as error:
            raise LockedError(f"{self._shown}: cannot write the lock file {self._path}: {error.strerror}") from None
        try:
            earlier = Holder.read(os.pread(self._stream, 1 << 12, 0))
            ours = carried and earlier is not None and earlier.shares_locks  # it was killed
            taken_over = False if ours else check_earlier_holder(self._shown, earlier, self._age())
            self._write()
            if taken_over or not carried:
                time.sleep(_SETTLING)
                self._check_written()
        except BaseException:
            os.close(self._stream)
            raise

    def _open(self) -> tuple[int, bool]:
        """Open and lock the file; returns its descriptor, and whether the file system knows locks."""
        while True:
            stream = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    return stream, False
                held = self._holder() if error.errno in _HELD else None
                os.close(stream)
                if error.errno in _HELD:
                    raise held_error(self._shown, held) from None
                raise
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(stream), os.stat(self._path)):
                    return stream, True
            os.close(stream)  # its holder has just deleted it

    def _holder(self) -> Holder | None:
        """Who holds the lock; waits a moment for a holder that has not written its name yet."""
        for _ in range(10):
            with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as stream:
                found = Holder.read(stream.read())
                if found is not None:
                    return found
            time.sleep(0.05)
        return None

    def _age(self) -> float:
        """Seconds since the last sign of life, by the clock of the file system."""
        with tempfile.TemporaryFile(dir=os.path.dirname(self._path)) as probe:
            return os.fstat(probe.fileno()).st_mtime - os.fstat(self._stream).st_mtime

    def _write(self) -> None:
        data = self._me.to_bytes()
        os.ftruncate(self._stream, 0)
        os.pwrite(self._stream, data, 0)
        os.fsync(self._stream)

    def _check_written(self) -> None:
        """Check that nobody who began at the same moment has written a name after ours."""
        found = self._holder()
        if found is not None and found.token != self._me.token:
            raise held_error(self._shown, found)

    def _check_still_ours(self) -> None:
        try:
            with open(self._path, "rb") as stream:
                found = Holder.read(stream.read())
        except FileNotFoundError:
            return  # somebody deleted the folder; that is noticed elsewhere
        if found is not None and found.token != self._me.token:
            raise lost_error(self._shown, found)

    def beat(self) -> None:
        """Give a sign of life: the time at which the file was changed."""
        self._check_still_ours()
        os.utime(self._stream)

    def release(self) -> None:
        """Delete the file, while it is still locked, and unlock it."""
        with contextlib.suppress(LockedError, OSError):
            self._check_still_ours()
            os.unlink(self._path)
        os.close(self._stream)
