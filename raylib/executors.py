"""Run tasks: in this process, or on Ray actors with back-pressure, retries and quarantine.

An executor takes a lazy stream of tasks and gives results as they come. It never holds more than
two tasks an actor, so neither the driver's memory nor the object store grows with the data.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from raylib.errors import RaylibError
from raylib.readers import Block, ReadOptions, blocks_of
from raylib.recipe import EngineOptions
from raylib.sources import Piece
from raylib.worker import Job, ResolveTask, ShardTask, Worker

__all__ = ["Executor", "Failure", "InlineExecutor", "RayExecutor"]

Task = ShardTask | ResolveTask
_READ_AHEAD = 3  # blocks that a reader is ahead of the actors
_IN_FLIGHT = 2  # a task in work and one waiting, so that an actor never idles


@dataclass(frozen=True)
class Failure:
    """A task that failed `attempts` times; its shard is quarantined."""

    task: Task
    error: str
    attempts: int


class Executor(Protocol):
    def start(self) -> None:
        """Set up the first worker; a stage that cannot be set up fails here, before any work."""
        ...

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Any]:
        """Blocks of a large file, as something that a task can carry; None for those in `skip`."""
        ...

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, dict[str, Any] | Failure]]: ...

    def close(self) -> None: ...


def _error_text(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-4000:]


def _without_skipped(piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Block | None]:
    for number, block in enumerate(blocks_of(piece, options)):
        yield None if number in skip else block


def _warm_up() -> None:
    """Loads this module, and with it the readers, into a worker process."""


@dataclass
class InlineExecutor:
    """Everything in this process, one task after the other: for debugging and small data."""

    job: Job
    options: EngineOptions
    _worker: Worker | None = None

    def start(self) -> None:
        self._worker = Worker(self.job)

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Any]:
        yield from _without_skipped(piece, options, skip)

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        assert self._worker is not None, "start() comes first"
        for task in tasks:
            block = task.block if isinstance(task, ShardTask) else None
            for attempt in range(1, self.options.retries + 1):
                try:
                    yield task, self._worker.process(task, block)
                    break
                except Exception as error:
                    if attempt == self.options.retries:
                        yield task, Failure(task, _error_text(error), attempt)

    def close(self) -> None:
        self._worker = None


def _give_back_memory() -> None:
    """Allocators keep what large buffers leave behind; over thousands of tasks that adds up."""
    import ctypes

    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


class _ActorBody:
    """The actor: a Worker, and the metrics of what it does."""

    def __init__(self, job: Job) -> None:
        import pyarrow as pa

        from raylib.metrics import StageMetrics

        pa.set_cpu_count(1)  # parallelism comes from actors; arrow's pool would only fight with it
        pa.set_io_thread_count(2)
        self._worker = Worker(job)
        self._metrics = StageMetrics()

    def ready(self) -> int:
        return os.getpid()

    def process(self, task: Task, block: Block | None) -> dict[str, Any]:
        try:
            entry = self._worker.process(task, block)
        except Exception as error:
            self._metrics.failed(task.phase)
            # some exceptions do not survive pickling: their text does
            raise RaylibError(_error_text(error)) from None
        finally:
            _give_back_memory()
        stats = f".work/{task.phase}/stats-{task.shard}.json"
        if stats in entry["files"]:
            self._metrics.record(entry, orjson.loads(self._worker.store.read(stats)))
        return entry


@dataclass
class _Slot:
    """An actor and what it is doing. The first task in `waiting` is the one in work."""

    actor: Any
    ready: Any
    alive: bool = False
    waiting: deque[tuple[Any, Task]] = field(default_factory=deque)


class RayExecutor:
    """Tasks on a pool of Ray actors; starts a local Ray unless one is running or an address is given."""

    def __init__(self, job: Job, options: EngineOptions) -> None:
        import ray

        self._ray = ray
        self._options = options
        self._started = _connect(ray, options, job.read.block_bytes)
        cpus = int(ray.cluster_resources().get("CPU", 1))
        self.actors = options.actors or max(1, cpus)
        actor = ray.remote(_ActorBody)
        # A share of a CPU where more actors are wanted than there are CPUs, a whole one otherwise: pending
        # actors make an autoscaling cluster grow.
        share = 1 if self.actors <= cpus or options.address else max(0.01, cpus / self.actors)
        self._actor = actor.options(num_cpus=share, max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD")
        self._job = job
        self._slots: list[_Slot] = []

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Any]:
        """References to blocks that a reader task puts into the object store, a few ahead of the actors."""
        reader = self._ray.remote(_without_skipped).options(
            num_cpus=0,
            num_returns="streaming",
            _generator_backpressure_num_objects=_READ_AHEAD,
            scheduling_strategy="SPREAD",
        )
        for number, reference in enumerate(reader.remote(piece, options, skip)):
            yield None if number in skip else reference

    def start(self) -> None:
        # a worker process for the first reader starts beside the actors, not after them
        self._ray.remote(_warm_up).options(num_cpus=0).remote()
        for _ in range(self.actors):
            actor = self._actor.remote(self._job)
            self._slots.append(_Slot(actor, actor.ready.remote()))
        while not any(slot.alive for slot in self._slots):
            done, _ = self._ray.wait([s.ready for s in self._slots], num_returns=1, timeout=60)
            for slot in self._slots:
                if slot.ready in done:
                    self._check_start(slot)

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        ray = self._ray
        attempts: dict[Task, int] = {}
        again: deque[Task] = deque()
        exhausted = False
        while True:
            for slot in self._free_slots():
                if again:
                    self._send(slot, again.popleft())
                elif not exhausted:
                    task = next(tasks, None)
                    if task is None:
                        exhausted = True
                        break
                    self._send(slot, task)
            references = [r for s in self._slots for r, _ in list(s.waiting)[:1]]
            starting = [s.ready for s in self._slots if not s.alive]
            if not references and exhausted and not again:
                return
            done, _ = ray.wait(references + starting, num_returns=1, timeout=10)
            for reference in done:
                yield from self._finish(reference, attempts, again)

    def _free_slots(self) -> Iterator[_Slot]:
        """Slots with room, emptiest first, so that every actor gets a task before any gets two."""
        for depth in range(_IN_FLIGHT):
            for slot in self._slots:
                if slot.alive and len(slot.waiting) == depth:
                    yield slot

    def _send(self, slot: _Slot, task: Task) -> None:
        block = task.block if isinstance(task, ShardTask) else None
        bare = replace(task, block=None) if isinstance(task, ShardTask) else task
        slot.waiting.append((slot.actor.process.remote(bare, block), task))

    def _finish(
        self, reference: Any, attempts: dict[Task, int], again: deque[Task]
    ) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        ray = self._ray
        for slot in self._slots:
            if reference == slot.ready and not slot.alive:
                self._check_start(slot)
                return
            if not slot.waiting or slot.waiting[0][0] != reference:
                continue
            _, task = slot.waiting.popleft()
            try:
                yield task, ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                yield from self._retry(task, _error_text(error.as_instanceof_cause()), attempts, again)
            except ray.exceptions.RayError as error:  # the actor died; Ray restarts it
                # tasks queued behind the one in work did not run: they go back without a mark
                again.extend(t for _, t in slot.waiting)
                slot.waiting.clear()
                slot.alive = False
                slot.ready = slot.actor.ready.remote()
                yield from self._retry(task, _error_text(error), attempts, again)
            return

    def _check_start(self, slot: _Slot) -> None:
        ray = self._ray
        try:
            ray.get(slot.ready)
            slot.alive = True
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayActorError as error:
            cause = getattr(error, "cause", None) or getattr(error, "actor_init_failed", False)
            if cause or "__init__" in str(error):
                raise RaylibError(f"a worker cannot set up its stages: {_error_text(error)}") from None
            time.sleep(0.2)  # died while starting, perhaps with its node: place a new one
            slot.actor = self._actor.remote(self._job)
            slot.ready = slot.actor.ready.remote()

    def _retry(
        self, task: Task, error: str, attempts: dict[Task, int], again: deque[Task]
    ) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        bare = replace(task, block=None) if isinstance(task, ShardTask) else task
        attempts[bare] = attempts.get(bare, 0) + 1
        if attempts[bare] >= self._options.retries:
            yield task, Failure(task, error, attempts[bare])
        else:
            again.append(task)

    def close(self) -> None:
        for slot in self._slots:
            self._ray.kill(slot.actor)
        self._slots = []
        if self._started:
            self._ray.shutdown()


def _connect(ray: Any, options: EngineOptions, block_bytes: int) -> bool:
    """Connect to Ray; true when this started a cluster of its own (which then ends with the run)."""
    if ray.is_initialized():
        return False
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if options.address or os.environ.get("RAY_ADDRESS"):
        ray.init(address=options.address or "auto", **quiet)
        return False
    # As many CPUs as the machine has; more only when the recipe asks for more actors than that.
    cpus = max(options.actors or 1, os.cpu_count() or 1)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        num_cpus=cpus,
        include_dashboard=options.dashboard,
        object_store_memory=_object_store_bytes(cpus, block_bytes),
        **quiet,
    )
    return True


def _object_store_bytes(actors: int, block_bytes: int) -> int:
    """Room for the blocks in flight with a margin; Ray spills to disk beyond it.

    Not much more than that: the store touches all of its memory sooner or later, and keeps it.
    """
    in_flight = actors * _IN_FLIGHT + _READ_AHEAD + 1
    return max(160 << 20, int(in_flight * block_bytes * 2))
