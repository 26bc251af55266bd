"""Holding a lock for a block, with a thread that gives signs of life, wherever the lock is kept."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from raylib.errors import LockedError
from raylib.locking.holder import STALE_SECONDS

__all__ = ["BEAT_SECONDS", "LOCK_NAME", "Lock", "Place", "locked_by"]

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"  # of the lock file in a folder
BEAT_SECONDS = 10.0  # between signs of life


def _now() -> float:
    """Seconds of a clock that also runs while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Place(Protocol):
    """Where a lock is kept: a file, or an object in a store."""

    def take(self) -> None:
        """Take the lock.

        Raises:
            LockedError: another process holds it.
        """
        ...

    def beat(self) -> None:
        """Give a sign of life.

        Raises:
            LockedError: another process has taken the lock over.
        """
        ...

    def release(self) -> None:
        """Give the lock back."""
        ...


class Lock:
    """A lock that this process holds, with a thread that gives signs of life."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lost: LockedError | None = None
        self._beaten = _now()  # when the last sign of life was given
        self._giving = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that the lock is still held: a process that was asleep for minutes may have lost it.

        Where the last sign of life is so long ago that another process might soon take the lock over, one is given now.

        Raises:
            LockedError: another process has taken it over.
            OSError: That cannot be found out, because the storage has not answered for so long.
        """
        if self._lost is None and _now() - self._beaten > STALE_SECONDS / 2:
            self._give()
        if self._lost is not None:
            raise self._lost

    def _beat(self) -> None:
        # signals that end the command are for the main thread
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        while not self._ended.wait(BEAT_SECONDS) and self._lost is None:
            self._beat_once()

    def _beat_once(self) -> None:
        try:
            self._give()
        except OSError as error:  # a storage that does not answer for a moment
            logger.info("no sign of life could be given: %s", error)

    def _give(self) -> None:
        with self._giving:
            try:
                self._place.beat()
                self._beaten = _now()
            except LockedError as error:
                self._lost = error

    def end(self) -> None:
        """Give no more signs of life."""
        self._ended.set()
        self._thread.join()


@contextmanager
def locked_by(place: Place) -> Iterator[Lock]:
    """Hold a lock for the block.

    Args:
        place: Where it is kept.

    Yields:
        The lock.

    Raises:
        LockedError: another process holds it.
    """
    place.take()
    try:
        lock = Lock(place)
        try:
            yield lock
        finally:
            lock.end()
    finally:
        place.release()
