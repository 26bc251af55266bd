"""The executor protocol, and the executor that runs every task in this process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

from raylib.cluster.nodes import Needed
from raylib.engine.faults import Failure, Fault, is_tried_again, setup_error
from raylib.engine.tasks import BlockSource, Job, ShardTask, Task
from raylib.engine.worker import Worker
from raylib.reading.block import Block, ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.units import Piece
from raylib.recipe import EngineOptions
from raylib.storage.entry import RoundEntry, ShardEntry

__all__ = ["Executor", "InlineExecutor", "Result", "process_here", "without_skipped"]

Result: TypeAlias = ShardEntry | RoundEntry | Failure


class Executor(Protocol):
    """Does tasks.

    An executor takes a lazy stream of tasks and gives results as they come. It never holds more than two tasks for each
    worker, so neither the driver's memory nor the object store grows with the data.

    Attributes:
        actors: Number of workers.
        ready_at: When all workers were there, by `time.perf_counter`.
        bytes_before: Raw bytes of input that were processed until then.
    """

    actors: int
    ready_at: float
    bytes_before: int

    def join(self, needed: Sequence[Needed], output: Needed | None) -> None:
        """Join a cluster that is running, if there is one to join, and check that its nodes see the files of the run.

        Args:
            needed: What they have to be able to read.
            output: Folder of the run; None if it is not on a disk.

        Raises:
            RaylibError: no cluster answers.
            SourceError: a node does not see them.
        """
        ...

    def start(self, input_bytes: int) -> None:
        """Set up the first worker; a stage that cannot be set up fails here, before any work.

        Args:
            input_bytes: Size of the input on disk.

        Raises:
            RaylibError: no worker can be set up.
        """
        ...

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[BlockSource | None]:
        """Cut a large file into blocks.

        Args:
            piece: The file.
            options: How to read it.
            skip: Numbers of blocks that nobody needs.

        Yields:
            Each block as something that a task can carry; None for those in `skip`.
        """
        ...

    def run(self, tasks: Iterator[Task], *, model: bool = False) -> Iterator[tuple[Task, Result]]:
        """Do tasks.

        Args:
            tasks: The tasks, taken when a worker is free.
            model: Whether their stages load a model, so that they belong on GPUs where there are any.

        Yields:
            Each task with its result, in the order in which they end.
        """
        ...

    def close(self) -> None:
        """Begin to give workers and cluster back."""
        ...

    def wait_closed(self) -> None:
        """Wait until that is done; the report can be written meanwhile."""
        ...


def without_skipped(piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Block | None]:
    """Blocks of a file, with None in place of those that nobody needs."""
    for number, block in enumerate(blocks_of(piece, options)):
        yield None if number in skip else block


class InlineExecutor:
    """Runs everything in this process, one task after the other: for debugging and small data.

    Args:
        job: The run.
        options: The `engine` part of the recipe.
    """

    def __init__(self, job: Job, options: EngineOptions) -> None:
        self.actors = 1
        self.ready_at = 0.0
        self.bytes_before = 0
        self._job, self._options = job, options
        self._worker: Worker | None = None

    def join(self, needed: Sequence[Needed], output: Needed | None) -> None:
        """Return at once: this process has looked at the files when it made the plan."""

    def start(self, input_bytes: int) -> None:
        """Set up the worker."""
        self._worker = worker_here(self._job)
        self.ready_at = time.perf_counter()

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Block | None]:
        """Cut a large file into blocks."""
        yield from without_skipped(piece, options, skip)

    def run(self, tasks: Iterator[Task], *, model: bool = False) -> Iterator[tuple[Task, Result]]:
        """Do tasks."""
        if self._worker is None:
            raise RuntimeError("start() comes first")
        for task in tasks:
            yield task, process_here(self._worker, task, self._options.retries)

    def close(self) -> None:
        """Forget the worker and its models."""
        self._worker = None

    def wait_closed(self) -> None:
        """Return at once."""


def worker_here(job: Job) -> Worker:
    """A worker in this process.

    Args:
        job: The run.

    Raises:
        RaylibError: its stages cannot be set up.
    """
    try:
        return Worker(job)
    except Exception as error:
        raise setup_error(Fault.of(error), job.root) from error


def process_here(worker: Worker, task: Task, retries: int) -> Result:
    """Do a task in this process, as often as it may be tried.

    Args:
        worker: Does it.
        task: The task; its block is here, not a reference to one elsewhere.
        retries: How many attempts it has.
    """
    block = task.block if isinstance(task, ShardTask) else None
    for attempt in itertools.count(1):
        try:
            return worker.process(task, block)
        except Exception as error:  # noqa: BLE001 - whatever a stage raises is a fault of its task
            failure = Failure(task, Fault.of(error), attempt)
        if not is_tried_again(failure, retries):
            return failure
    raise AssertionError("unreachable")
