"""SIGTERM, with which Kubernetes, a scheduler or `timeout` ends a command: it is handled like Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

__all__ = ["TERMINATED", "install", "kept", "note_exit", "was_terminated"]

TERMINATED = 128 + signal.SIGTERM
"""Exit status of a process that SIGTERM ended."""


class _State:
    """What this process knows about the signal."""

    installed: ClassVar[bool] = False
    received: ClassVar[bool] = False


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Interrupt the main thread as Ctrl-C does: libraries, Ray among them, know how to end on that.

    The signal often comes twice, because `timeout` sends it to the process and to its group. Only the first one counts,
    so that the second does not interrupt the clean-up.
    """
    if not _State.received:
        _State.received = True
        raise KeyboardInterrupt


def install() -> None:
    """Handle SIGTERM from now on. For commands: a program that imports raylib keeps its own handler."""
    signal.signal(signal.SIGTERM, _interrupt)
    _State.installed = True


def was_terminated() -> bool:
    """Whether the signal has come."""
    return _State.received


def note_exit(status: object) -> None:
    """Note that the signal has come if a process ends with the status that Ray's own handler gives it."""
    _State.received = _State.received or status == signal.SIGTERM


@contextmanager
def kept(*, starts_processes: bool = False) -> Iterator[None]:
    """Keep the handler over a block that installs another one; without `install` nothing is changed.

    Joining a Ray cluster installs a handler that prints the machine's stack.

    Args:
        starts_processes: Whether the block starts processes. If not, a signal meanwhile is handled at the end of the
            block; processes would inherit that it is held back.
    """
    if not _State.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    held_back = set() if starts_processes else {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, held_back)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held_back)
