"""The Ray actor that runs a worker, and the metrics of what it does."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa

from raylib.cluster.metrics import StageMetrics
from raylib.engine.faults import Fault, FaultKind, TaskError
from raylib.engine.task_log import CurrentStage, LogLine, TaskLog
from raylib.engine.tasks import Job, Task
from raylib.engine.worker import Worker
from raylib.locking import is_here, this_machine
from raylib.reading.block import Block
from raylib.storage.entry import RoundEntry, ShardEntry
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

if TYPE_CHECKING:
    import ray

__all__ = ["Born", "Done", "WorkerActor", "fault_of", "give_back_memory", "record_metrics", "remote", "warm_up"]


@functools.cache
def remote(what: type | Callable[..., object]) -> ray.actor.ActorClass | ray.remote_function.RemoteFunction:
    """A function or class for Ray. Cached, because Ray keeps each one registered for the lifetime of the cluster."""
    import ray  # noqa: PLC0415 - loads in seconds

    return ray.remote(what)


def warm_up() -> None:
    """Load this module, and with it the readers, into a worker process."""


def fault_of(error: BaseException) -> Fault:
    """The fault that an exception is, also one of Ray's."""
    import ray.exceptions  # noqa: PLC0415 - loads in seconds

    if isinstance(error, ray.exceptions.RayTaskError):
        return fault_of(error.cause)
    fault = Fault.of(error)
    if isinstance(error, ray.exceptions.OutOfDiskError):
        return replace(fault, kind=FaultKind.FULL_VOLUME)
    return fault


def record_metrics(metrics: StageMetrics, store: Store, entry: ShardEntry | RoundEntry) -> None:
    """Add a finished task to the metrics of this process."""
    statistics = RunFiles.stats(entry.phase, entry.shard)
    if isinstance(entry, ShardEntry) and statistics in entry.files:
        metrics.record(entry, orjson.loads(store.read(statistics)))


def give_back_memory() -> None:
    """Return free memory to the system: allocators keep what large buffers leave, and over many tasks that adds up."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class Born:
    """A worker that has set up its stages.

    Attributes:
        host: Name of its machine.
        process: Id of its process there.
        machine: What tells that machine and container from others of the same name.
        lines: What was logged meanwhile.
    """

    host: str
    process: int
    machine: str
    lines: tuple[LogLine, ...]

    @property
    def is_here(self) -> bool:
        """Whether its process is one of those that this process sees."""
        return is_here(self.host, self.machine)


@dataclass(frozen=True)
class Done:
    """A finished task, on its way to the driver.

    Attributes:
        entry: What was done.
        lines: What was logged meanwhile.
    """

    entry: ShardEntry | RoundEntry
    lines: tuple[LogLine, ...]


class WorkerActor:
    """A worker in a process of Ray's, with the metrics and warnings of its tasks.

    Args:
        job: The run.
    """

    def __init__(self, job: Job) -> None:
        pa.set_cpu_count(1)  # parallelism comes from actors; arrow's pool would only fight with it
        pa.set_io_thread_count(2)
        self._worker: Worker | None = None
        self._fault: Fault | None = None
        current = CurrentStage()
        self._log = TaskLog(current)
        logging.getLogger().addHandler(self._log)
        try:
            self._worker = Worker(job, current)
        except Exception as error:  # noqa: BLE001 - whatever a stage raises; `ready` hands it over
            self._fault = fault_of(error)
            return
        self._metrics = StageMetrics(job.name, job.root)

    def ready(self) -> Born:
        """The worker, and what was logged while its stages were set up.

        Raises:
            TaskError: they cannot be set up.
        """
        if self._fault is not None:
            raise TaskError(self._fault.in_setup(), self._log.take())
        return Born(platform.node(), os.getpid(), this_machine(), self._log.take())

    def process(self, task: Task, block: Block | None) -> Done:
        """Do a task.

        Args:
            task: The task, without its block.
            block: The block.

        Raises:
            TaskError: it failed. Carries a text, because not every exception survives pickling.
        """
        if self._worker is None:
            raise RuntimeError("ready() comes first")
        try:
            entry = self._worker.process(task, block)
        except Exception as error:  # noqa: BLE001 - whatever a stage raises is a fault of its task
            self._metrics.failed(task.phase)
            raise TaskError(fault_of(error), self._log.take()) from None
        finally:
            give_back_memory()
        record_metrics(self._metrics, self._worker.store, entry)
        return Done(entry, self._log.take())
