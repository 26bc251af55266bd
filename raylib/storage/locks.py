"""The lock of a run's output folder, on a disk or in object storage."""

from __future__ import annotations

import contextlib
import time
from contextlib import AbstractContextManager

from raylib.errors import LockedError
from raylib.locking import LOCK_NAME, Holder, Lock, check_earlier_holder, held_error, locked, locked_by, lost_error
from raylib.storage.conditional import tag_of, write_if
from raylib.storage.store import Store

__all__ = ["locked_output"]

_SETTLING = 2.0  # seconds after which processes that began at the same moment have written their names
_TRIES = 3  # to write a name, while others do the same


def locked_output(store: Store, shown: str) -> AbstractContextManager[Lock]:
    """Hold the lock of a run's folder for a block.

    Args:
        store: The folder.
        shown: The folder as the user wrote it, for messages.

    Returns:
        A context manager, which raises LockedError if another process holds the lock.
    """
    return locked(store.path(""), shown) if store.local else locked_by(_ObjectLock(store, shown))


class _ObjectLock:
    """An object that names its holder, written again as a sign of life.

    Where the store knows conditional writes, one of several processes that begin at the same moment has written it.
    Elsewhere each of them writes it and waits until all have seen the last one's name. What is written later than that
    (a request that hangs for longer) is noticed at the next sign of life.
    """

    def __init__(self, store: Store, shown: str) -> None:
        self._store, self._shown = store, shown
        self._me = Holder.this()

    def take(self) -> None:
        """Write our name, unless somebody else's is there and recent."""
        data = self._me.to_bytes()
        for _ in range(_TRIES):
            tag = tag_of(self._store.root, LOCK_NAME)
            earlier = self._holder()
            check_earlier_holder(self._shown, earlier, self._age(earlier) if earlier else 0.0)
            written = write_if(self._store.root, LOCK_NAME, data, tag)
            if written:
                return
            if written is None:
                self._store.write(LOCK_NAME, data)
                time.sleep(_SETTLING)
                found = self._holder()
                if found is not None and found.token != self._me.token:
                    raise held_error(self._shown, found)
                return
        raise held_error(self._shown, self._holder())

    def _age(self, earlier: Holder) -> float:
        """Seconds since the last sign of life, by the clock of the store: those of two machines may differ."""
        probe = f"{LOCK_NAME}-{self._me.token}"
        self._store.write(probe, b"")
        try:
            now, then = self._store.modified(probe), self._store.modified(LOCK_NAME)
        finally:
            self._store.delete(probe)
        return time.time() - earlier.beat if now is None or then is None else now - then

    def _holder(self) -> Holder | None:
        if not self._store.exists(LOCK_NAME):
            return None
        return Holder.read(self._store.read(LOCK_NAME))

    def _check_still_ours(self) -> None:
        found = self._holder()
        if found is not None and found.token != self._me.token:
            raise lost_error(self._shown, found)

    def beat(self) -> None:
        """Write our name with the time of this moment."""
        self._check_still_ours()
        self._store.write(LOCK_NAME, self._me.beating().to_bytes())

    def release(self) -> None:
        """Delete the object."""
        with contextlib.suppress(LockedError, OSError):  # without it, the lock ends by its age
            self._check_still_ours()
            self._store.delete(LOCK_NAME)
