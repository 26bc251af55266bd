"""The head start: work that this process does while a local Ray comes up."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from raylib.cluster.metrics import StageMetrics
from raylib.engine.actor import give_back_memory, record_metrics
from raylib.engine.executor import Result, process_here, worker_here
from raylib.engine.faults import Failure
from raylib.engine.tasks import Job, ShardTask, Task
from raylib.recipe import EngineOptions
from raylib.storage.entry import RoundEntry, ShardEntry

__all__ = ["HeadStart"]


class HeadStart:
    """Does tasks in this process as long as it looks as if all of them will take no more than a few seconds.

    A small input is done before the actors are there; a large one leaves the cores to them.

    Args:
        job: The run.
        options: The `engine` part of the recipe.
        input_bytes: Size of the input on disk.

    Attributes:
        bytes_done: Raw bytes of input that were processed here.
    """

    def __init__(self, job: Job, options: EngineOptions, input_bytes: int) -> None:
        self.bytes_done = 0
        self._job, self._options, self._input_bytes = job, options, input_bytes
        self._worker = worker_here(job)
        self._entries: list[ShardEntry | RoundEntry] = []
        self._consumed: dict[int, int] = {}  # bytes of the input on disk, by unit
        self._pace = math.inf  # seconds a byte

    @property
    def is_worthwhile(self) -> bool:
        """Whether the rest of the input is small enough to be done here."""
        return self.remaining_seconds <= self._options.work_while_starting

    @property
    def remaining_seconds(self) -> float:
        """How long the rest of the input would take this process; 0 before the first task is done."""
        done = sum(self._consumed.values())
        return self._pace * max(self._input_bytes - done, 0) if done else 0.0

    def next_result(self, tasks: Iterator[Task]) -> tuple[Task, Result] | None:
        """Do the next task.

        Args:
            tasks: The tasks.

        Returns:
            The task and its result; None when there are no more tasks.
        """
        begun = time.perf_counter()
        task = next(tasks, None)
        if task is None:
            return None
        result = process_here(self._worker, task, self._options.retries)
        if not isinstance(result, Failure):
            self._entries.append(result)
            if isinstance(result, ShardEntry):
                self.bytes_done += result.bytes_in
                self._note_pace(task, result, time.perf_counter() - begun)
        return task, result

    def _note_pace(self, task: Task, entry: ShardEntry, seconds: float) -> None:
        """Keep the best pace so far: the first tasks also pay for warming up."""
        if not isinstance(task, ShardTask) or not entry.phase.is_first:
            return
        before = sum(self._consumed.values())
        size = sum(p.file.size for p in task.pieces if p.start == 0) or entry.consumed
        self._consumed[task.shard.unit] = max(self._consumed.get(task.shard.unit, 0), size)
        advanced = sum(self._consumed.values()) - before
        if advanced > 0:
            self._pace = min(self._pace, seconds / advanced)

    def hand_over(self) -> None:
        """End: record the metrics of what was done, now that Ray takes them, and give memory back."""
        metrics = StageMetrics(self._job.name, self._job.root)
        for entry in self._entries:
            record_metrics(metrics, self._worker.store, entry)
        self._entries.clear()
        give_back_memory()
