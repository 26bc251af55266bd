"""Tasks that take long: who works on which, for how long, and whether that worker has been stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from pathlib import Path

from raylib.engine.actor import Born
from raylib.engine.faults import Fault, FaultKind
from raylib.engine.tasks import Task

__all__ = ["Slowness", "end_worker"]

logger = logging.getLogger(__name__)

_LONG = 120.0  # seconds after which a task is named, unless others took about as long
_TIMES = 4  # how many times the longest finished one
_STOPPED = 10.0  # seconds after which a worker that is stopped is named


class Slowness:
    """Names tasks that take much longer than others, each time that the time has doubled; and workers that are stopped.

    Args:
        task_minutes: Minutes that a task may take; None for no limit.
    """

    def __init__(self, task_minutes: float | None) -> None:
        self._limit = None if task_minutes is None else task_minutes * 60
        self._longest = 0.0
        self._named: dict[
            tuple[str, int], tuple[float, float]
        ] = {}  # by worker: begin of the task, and when to name it again
        self._stopped: dict[int, float] = {}  # since when processes of this machine are stopped
        self.fault = Fault(FaultKind.LOST_WORKER, f"took longer than engine.task_minutes = {task_minutes}")

    def note(self, seconds: float) -> None:
        """Note how long a finished task took."""
        self._longest = max(self._longest, seconds)

    def is_over(self, task: Task, begun: float, worker: Born) -> bool:
        """Whether a task in work has taken longer than it may. Names it in the log if it takes long.

        Args:
            task: The task.
            begun: When it went into work, by `time.monotonic`.
            worker: Who works on it.
        """
        now = time.monotonic()
        seconds = now - begun
        self._name_if_stopped(task, worker, now)
        place = worker.host, worker.process
        before, again = self._named.get(place, (begun, 0.0))
        if before != begun:
            again = 0.0
        if seconds > (again or max(_LONG, _TIMES * self._longest)):
            self._named[place] = (begun, 2 * seconds)
            logger.warning(
                "%s has been running for %.0f minutes (process %d on %s)",
                task.title,
                seconds / 60,
                worker.process,
                worker.host,
            )
        return self._limit is not None and seconds > self._limit

    def _name_if_stopped(self, task: Task, worker: Born, now: float) -> None:
        """Name a worker that somebody has stopped: it waits for ever, without a fault."""
        if not worker.is_here or not _is_stopped(worker.process):
            self._stopped.pop(worker.process, None)
            return
        since = self._stopped.setdefault(worker.process, now)
        if since != 0 and now - since > _STOPPED:
            self._stopped[worker.process] = 0.0  # named
            logger.warning(
                "process %d, which works on %s, has been stopped; `kill -CONT %d` lets it go on",
                worker.process,
                task.title,
                worker.process,
            )


def _is_stopped(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


def end_worker(worker: Born) -> None:
    """Kill the process of a worker if it is one of this machine: one that hangs or is stopped does not listen to Ray.

    Args:
        worker: The worker.
    """
    if worker.is_here:
        with contextlib.suppress(OSError):
            os.kill(worker.process, signal.SIGKILL)
