"""The Ray actor that runs a worker, and the metrics of what it does."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

import orjson

from raylib.engine.faults import error_text
from raylib.engine.tasks import Job, Task
from raylib.engine.worker import Worker
from raylib.errors import RaylibError, RecipeError, StageError
from raylib.reading.block import Block

if TYPE_CHECKING:
    from raylib.cluster.metrics import StageMetrics
    from raylib.storage.store import Store

__all__ = ["WorkerActor", "give_back_memory", "record_metrics", "remote", "warm_up"]


@functools.cache
def remote(what: Any) -> Any:
    """A function or class for Ray. Made once: each one made anew stays in Ray's tables as long as the cluster lives."""
    import ray

    return ray.remote(what)


def warm_up() -> None:
    """Loads this module, and with it the readers, into a worker process."""


def record_metrics(metrics: StageMetrics, store: Store, entry: dict[str, Any]) -> None:
    stats = f".work/{entry['phase']}/stats-{entry['shard']}.json"
    if stats in entry["files"]:
        metrics.record(entry, orjson.loads(store.read(stats)))


def give_back_memory() -> None:
    """Allocators keep what large buffers leave behind; over thousands of tasks that adds up."""
    import ctypes

    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


class WorkerActor:
    """The actor: a Worker, and the metrics of what it does."""

    def __init__(self, job: Job) -> None:
        import pyarrow as pa

        from raylib.cluster.metrics import StageMetrics

        pa.set_cpu_count(1)  # parallelism comes from actors; arrow's pool would only fight with it
        pa.set_io_thread_count(2)
        self._worker = Worker(job)
        self._metrics = StageMetrics(job.name, job.root if self._worker.store.local else "")

    def ready(self) -> int:
        return os.getpid()

    def process(self, task: Task, block: Block | None) -> dict[str, Any]:
        try:
            entry = self._worker.process(task, block)
        except StageError as error:
            self._metrics.failed(task.phase)
            raise RecipeError(str(error)) from None
        except Exception as error:
            self._metrics.failed(task.phase)
            # some exceptions do not survive pickling: their text does
            raise RaylibError(error_text(error)) from None
        finally:
            give_back_memory()
        record_metrics(self._metrics, self._worker.store, entry)
        return entry
