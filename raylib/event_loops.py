"""Coroutines that code without an event loop waits for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["run_to_end"]

_Value = TypeVar("_Value")


def run_to_end(job: Coroutine[object, object, _Value]) -> _Value:
    """Run a coroutine to its end, also where a loop is running already, as in a notebook.

    It runs in a thread of its own. Ctrl-C interrupts the main thread wherever it is, and in the middle of an event loop
    that would leave tasks half done, whose tracebacks the user sees. Here it interrupts the wait, and cancels the
    coroutine.

    Args:
        job: The coroutine.

    Returns:
        What it returns.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[object]]] = Future()

    async def whole() -> _Value:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await job

    with ThreadPoolExecutor(1, thread_name_prefix="raylib-loop") as thread:
        done = thread.submit(asyncio.run, whole())
        try:
            return done.result()
        except BaseException:
            if not done.done():
                loop, task = begun.result()
                with contextlib.suppress(RuntimeError):  # it has ended in the meantime
                    loop.call_soon_threadsafe(task.cancel)
            raise
