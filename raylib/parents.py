"""Processes that end with the one that started them, however that ends: nothing is left behind by SIGKILL."""

from __future__ import annotations

import os
import threading
import time

__all__ = ["end_with"]

_EVERY = 1.0  # seconds between looks


def end_with(process: int) -> None:
    """End this process when the one that it works for, or its parent, has ended; workers call it when they begin.

    The signal that Linux can send at the death of a parent is of no use here: it is sent when the thread ends that
    started the process.

    Args:
        process: Id of the process that this one works for.
    """
    threading.Thread(target=_watch, args=(process, os.getppid()), daemon=True).start()


def _watch(process: int, parent: int) -> None:
    while os.getppid() == parent and (process == parent or _lives(process)):  # an orphan gets another parent
        time.sleep(_EVERY)
    os._exit(1)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it belongs to somebody else
    return True
