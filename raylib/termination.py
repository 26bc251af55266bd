"""The end of a command by Ctrl-C, or by SIGTERM, with which Kubernetes, a scheduler or `timeout` ends it.

Both interrupt the main thread. What cannot be interrupted, such as a library that waits for a network, gets a few
seconds to end; then the process ends all the same, because nothing is lost by that.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

__all__ = [
    "CONTINUES",
    "INTERRUPTED",
    "TERMINATED",
    "also_ends",
    "ended_as_meant",
    "install",
    "kept",
    "note_exit",
    "status",
    "was_terminated",
]

TERMINATED = 128 + signal.SIGTERM
"""Exit status of a process that SIGTERM ended."""

INTERRUPTED = 128 + signal.SIGINT
"""Exit status of a process that Ctrl-C ended."""

CONTINUES = "interrupted; run the same command again to continue"
"""Last line of a command that a signal ended."""

_GRACE = 4.0  # seconds in which everything may end by itself


class _State:
    """What this process knows about the signal."""

    installed: ClassVar[bool] = False
    received: ClassVar[bool] = False
    ending: ClassVar[threading.Timer | None] = None
    asked: ClassVar[int] = 0  # the signal, which may have come while no handler could run
    interrupted: ClassVar[bool] = False  # by Ctrl-C
    over: ClassVar[bool] = False  # it was meant to end the command, and has
    groups: ClassVar[set[int]] = set()  # process groups that end with this process


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """Interrupt the main thread as Ctrl-C does: libraries, Ray among them, know how to end on that.

    The signal often comes twice, because `timeout` sends it to the process and to its group. Only the first one counts,
    so that the second does not interrupt the clean-up.
    """
    if not _State.received:
        _State.received = True
        _begin_to_end()
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Interrupt the main thread; a second Ctrl-C ends the process at once."""
    if _State.interrupted or _State.received:
        _end()
    _State.interrupted = True
    _begin_to_end()
    raise KeyboardInterrupt


def _begin_to_end() -> None:
    """Start the clock; what other threads raise from now on follows from the signal."""
    if _State.ending is None and not _State.over:
        threading.excepthook = lambda _: None
        _State.ending = threading.Timer(_GRACE, _end)
        _State.ending.daemon = True
        _State.ending.start()


def _end() -> None:
    """End this process and what ends with it, whatever they are doing."""
    for group in _State.groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    shown_again = "\x1b[?25h" if sys.stderr is not None and sys.stderr.isatty() else ""  # a bar hides the cursor
    with contextlib.suppress(OSError):
        os.write(2, f"{shown_again}{CONTINUES}\n".encode())
    os._exit(TERMINATED if _State.received or _State.asked == signal.SIGTERM else INTERRUPTED)


def also_ends(group: int, *, no_longer: bool = False) -> None:
    """Name a process group that is killed if this process has to end without a clean-up.

    Args:
        group: Id of the group.
        no_longer: Whether it has ended.
    """
    (_State.groups.discard if no_longer else _State.groups.add)(group)


def install() -> None:
    """Handle both signals from now on. For commands: a program that imports raylib keeps its own handlers."""
    if not _State.installed:
        atexit.register(_leave)  # before those of libraries, and so called behind them
        _watch()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # what a script starts in the background ignores Ctrl-C
        signal.signal(signal.SIGINT, _interrupt)
    _State.installed = True


def _watch() -> None:
    """Start the clock when a signal comes, also while the main thread is inside a library and runs no handler."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _write_to(writing)
    # a signal to a child that is forked is not to be taken for one to this process, whose pipe it would have
    none, again = functools.partial(_write_to, -1), functools.partial(_write_to, writing)
    os.register_at_fork(before=none, after_in_parent=again, after_in_child=none)
    threading.Thread(target=_await_signals, args=(reading,), name="signals", daemon=True).start()


def _write_to(pipe: int) -> None:
    """Have signals written to a pipe, or to none (-1); only the main thread can say so."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(pipe, warn_on_full_buffer=False)


def _await_signals(reading: int) -> None:
    # the system gives a signal to any thread that takes it, and `kept` holds it back in the main thread alone
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    while True:
        for number in os.read(reading, 64):
            if signal.getsignal(number) in (_terminate, _interrupt):  # else another program's handler, which may go on
                _State.asked = _State.asked or number
                _begin_to_end()


def _leave() -> None:
    """End an interrupted process once all others have cleaned up.

    What would follow is the tear-down of the interpreter and of libraries such as PyTorch, in which no thread of ours
    runs any more to end it: on a busy machine that took 20 seconds.
    """
    asked = status()
    if asked is None:
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(asked)


def ended_as_meant() -> None:
    """Note that the signal was the way to end this command, such as a server: it ends without an error."""
    _State.over = True
    if _State.ending is not None:
        _State.ending.cancel()
    _State.ending, _State.received, _State.asked = None, False, 0


def was_terminated() -> bool:
    """Whether the signal has come."""
    return _State.received


def status() -> int | None:
    """Exit status that the signal asks for; None if none has come."""
    if _State.received:
        return TERMINATED
    return None if _State.ending is None else INTERRUPTED


def note_exit(ended_with: object) -> None:
    """Note that the signal has come if a process ends with the status that Ray's own handler gives it."""
    _State.received = _State.received or ended_with == signal.SIGTERM


@contextmanager
def kept() -> Iterator[None]:
    """Keep the handler over a block that installs another one; without `install` nothing is changed.

    Joining a Ray cluster installs a handler that prints the machine's stack, and may wait long for an answer. A signal
    meanwhile is handled at the end of the block, or when the grace is over. The block starts no processes, which would
    inherit that the signal is held back.
    """
    if not _State.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    over = threading.Event()
    waiting = threading.Thread(target=_wait_for_signal, args=(over,), daemon=True)
    waiting.start()
    try:
        yield
    finally:
        over.set()
        waiting.join()
        signal.signal(signal.SIGTERM, _terminate)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if _State.received:
        raise KeyboardInterrupt


def _wait_for_signal(over: threading.Event) -> None:
    """Take the signal that is held back, and start the clock."""
    while not over.is_set():
        if signal.sigtimedwait({signal.SIGTERM}, 0.1) is not None:
            _State.received = True
            _begin_to_end()
            return
