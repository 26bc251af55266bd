"""The executor protocol, and the executor that runs every task in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from raylib.engine.faults import Failure, error_text
from raylib.engine.tasks import Job, ShardTask, Task
from raylib.engine.worker import Worker
from raylib.errors import StageError
from raylib.reading.block import Block, ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.units import Piece
from raylib.recipe import EngineOptions

__all__ = ["Executor", "InlineExecutor", "process_here", "without_skipped"]


class Executor(Protocol):
    """ready_at: when all workers were there (time.perf_counter); bytes_before: raw bytes worked through until then.

    total_bytes: size of the input on disk, set before the first run.
    """

    ready_at: float
    bytes_before: int
    total_bytes: int

    def start(self) -> None:
        """Set up the first worker; a stage that cannot be set up fails here, before any work."""
        ...

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Any]:
        """Blocks of a large file, as something that a task can carry; None for those in `skip`."""
        ...

    def run(self, tasks: Iterator[Task], *, model: bool = False) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        """Do tasks. model: their stages load a model, so they belong on GPUs where there are any."""
        ...

    def close(self) -> None:
        """Begin to give workers and cluster back."""
        ...

    def wait_closed(self) -> None:
        """Wait until that is done; the report can be written meanwhile."""
        ...


def without_skipped(piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Block | None]:
    for number, block in enumerate(blocks_of(piece, options)):
        yield None if number in skip else block


@dataclass
class InlineExecutor:
    """Everything in this process, one task after the other: for debugging and small data."""

    job: Job
    options: EngineOptions
    ready_at: float = 0.0
    bytes_before: int = 0
    total_bytes: int = 0
    _worker: Worker | None = None

    def start(self) -> None:
        self._worker = Worker(self.job)
        self.ready_at = time.perf_counter()

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Any]:
        yield from without_skipped(piece, options, skip)

    def run(self, tasks: Iterator[Task], *, model: bool = False) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        assert self._worker is not None, "start() comes first"
        for task in tasks:
            yield task, process_here(self._worker, task, self.options.retries)

    def close(self) -> None:
        self._worker = None

    def wait_closed(self) -> None:
        """Nothing to wait for."""


def process_here(worker: Worker, task: Task, retries: int) -> dict[str, Any] | Failure:
    block = task.block if isinstance(task, ShardTask) else None
    attempt = 0
    while True:
        attempt += 1
        try:
            return worker.process(task, block)
        except StageError as error:
            return Failure(task, str(error), attempt, fatal=True)
        except Exception as error:
            if attempt >= retries:
                return Failure(task, error_text(error), attempt)
