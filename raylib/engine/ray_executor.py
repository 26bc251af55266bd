"""Run tasks: in this process, or on Ray actors with back-pressure, retries and quarantine.

An executor takes a lazy stream of tasks and gives results as they come. It never holds more than
two tasks an actor, so neither the driver's memory nor the object store grows with the data.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raylib.cluster.connection import starts_own_cluster, use_token
from raylib.cluster.local import LocalCluster
from raylib.engine.actor import WorkerActor, give_back_memory, record_metrics, remote, warm_up
from raylib.engine.executor import process_here, without_skipped
from raylib.engine.faults import Failure, error_text
from raylib.engine.pool import IN_FLIGHT, Slot
from raylib.engine.tasks import Job, ShardTask, Task
from raylib.engine.worker import Worker
from raylib.errors import RaylibError, RecipeError
from raylib.reading.block import ReadOptions
from raylib.reading.units import Piece
from raylib.recipe import EngineOptions

if TYPE_CHECKING:
    pass

__all__ = ["RayExecutor"]


_READ_AHEAD = 3  # blocks that a reader is ahead of the actors


class RayExecutor:
    """Tasks on a pool of Ray actors; starts a local Ray unless one is running or an address is given.

    A local Ray needs seconds to come up. Until then this process does tasks itself, as long as it looks as if
    all of them will take no more than `work_while_starting` seconds: a small input is done before the actors
    are there, a large one leaves the cores to them.
    """

    def __init__(self, job: Job, options: EngineOptions) -> None:
        self._job, self._options = job, options
        self._ray: Any = None
        self._slots: list[Slot] = []
        self._gpu_slots: list[Slot] = []
        self._cluster: LocalCluster | None = None
        self._here: Worker | None = None
        self._done_here: list[dict[str, Any]] = []
        self._closing: threading.Thread | None = None
        self.ready_at, self.bytes_before, self.total_bytes = 0.0, 0, 0
        self._read_here: dict[str, int] = {}
        self._pace = math.inf
        cpus = os.cpu_count() or 1
        self.actors = options.actors or cpus
        if starts_own_cluster(options):
            # as many CPUs as the machine has; more only when the recipe asks for more actors than that
            cpus = max(self.actors, cpus)
            self._cluster = LocalCluster(cpus, _object_store_bytes(cpus, job.read.block_bytes), options.dashboard)

    def start(self) -> None:
        if self._cluster is not None:
            self._cluster.start()
            self._here = Worker(self._job)
            self.ready_at = time.perf_counter()
            if self._options.work_while_starting:
                return
            self._here = None
            while (address := self._cluster.address(wait=1.0)) is None:
                continue
            self._connect(address)
        else:
            self._connect(self._options.address or "auto")
        while not self._some_actor_lives(wait=60):
            continue
        self.ready_at = time.perf_counter()

    def _connect(self, address: str) -> None:
        """Join the cluster and ask for the actors."""
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray = ray
        if not ray.is_initialized():
            use_token()
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=True)
        cpus = int(ray.cluster_resources().get("CPU", 1))
        self.actors = self._options.actors or max(1, cpus)
        # A share of a CPU where more actors are wanted than there are CPUs, a whole one otherwise: pending
        # actors make an autoscaling cluster grow.
        share = 1 if self.actors <= cpus or self._options.address else max(0.01, cpus / self.actors)
        self._actor = self._placed(num_cpus=share)
        # a worker process for the first reader starts beside the actors, not after them
        remote(warm_up).options(num_cpus=0).remote()
        for _ in range(self.actors):
            actor = self._actor.remote(self._job)
            self._slots.append(Slot(actor, actor.ready.remote(), make=self._actor))

    def _placed(self, **resources: float) -> Any:
        """The actor class with these resources; an actor that dies is restarted by Ray."""
        return remote(WorkerActor).options(
            max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD", **resources
        )

    def _some_actor_lives(self, wait: float) -> bool:
        done, _ = self._ray.wait([s.ready for s in self._slots if not s.alive], num_returns=1, timeout=wait)
        for slot in self._slots:
            if slot.ready in done:
                self._check_start(slot)
        return any(slot.alive for slot in self._slots)

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[Any]:
        """Blocks that a reader task puts into the object store, a few ahead of the actors, as references.

        While Ray is coming up, this process reads; what it has read is passed over by the reader afterwards.
        """
        given = 0
        if self._here is not None:
            for block in without_skipped(piece, options, skip):
                if self._here is None:
                    break  # the reader gives this one
                yield block
                given += 1
            else:
                return
        reader = remote(without_skipped).options(
            num_cpus=0,
            num_returns="streaming",
            _generator_backpressure_num_objects=_READ_AHEAD,
            scheduling_strategy="SPREAD",
        )
        passed = skip | frozenset(range(given))
        for number, reference in enumerate(reader.remote(piece, options, passed)):
            if number >= given:
                yield None if number in skip else reference

    def run(self, tasks: Iterator[Task], *, model: bool = False) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        while self._here is not None and not self._take_over():
            # a model is never run here: on another number of threads its sums would come out with other last bits
            if model or self._remaining_seconds() > self._options.work_while_starting:
                time.sleep(0.05)
                continue
            begun = time.perf_counter()
            task = next(tasks, None)
            if task is None:
                return
            result = process_here(self._here, task, self._options.retries)
            if not isinstance(result, Failure):
                self._done_here.append(result)
                self._note_progress(task, result, time.perf_counter() - begun)
            yield task, result
        slots = self._model_slots() if model else self._slots
        yield from self._run_on_actors(tasks, slots)

    def _model_slots(self) -> list[Slot]:
        """Actors with GPUs, made when they are first needed; the ordinary ones where there are no GPUs."""
        gpus = self._ray.cluster_resources().get("GPU", 0)
        share = self._options.gpus_per_model
        if gpus < share:
            return self._slots
        if not self._gpu_slots:
            # no CPUs of their own: the ordinary actors, idle meanwhile, hold those
            actor = self._placed(num_cpus=0, num_gpus=share)
            for _ in range(int(gpus / share)):
                made = actor.remote(self._job)
                self._gpu_slots.append(Slot(made, made.ready.remote(), make=actor))
        return self._gpu_slots

    def _note_progress(self, task: Task, entry: dict[str, Any], seconds: float) -> None:
        """Bytes of the input that are done, and the best pace so far: the first tasks also pay for warming up."""
        if isinstance(task, ShardTask) and task.segment == 0:
            before = sum(self._read_here.values())
            stream = task.shard.split("-")[0]
            size = sum(p.file.size for p in task.pieces if p.start == 0) or entry["consumed"]
            self._read_here[stream] = max(self._read_here.get(stream, 0), size)
            advanced = sum(self._read_here.values()) - before
            if advanced > 0:
                self._pace = min(self._pace, seconds / advanced)

    def _remaining_seconds(self) -> float:
        """How long the rest of the input would take this process, 0 before there is a pace to go by."""
        done = sum(self._read_here.values())
        return self._pace * max(self.total_bytes - done, 0) if done else 0.0

    def _take_over(self) -> bool:
        """Whether an actor is there; from then on this process only drives."""
        assert self._cluster is not None and self._here is not None
        if self._ray is None:
            address = self._cluster.address()
            if address is None:
                return False
            self._connect(address)
        if not self._some_actor_lives(wait=0):
            return False
        from raylib.cluster.metrics import StageMetrics

        metrics = StageMetrics(self._job.name)
        for entry in self._done_here:
            record_metrics(metrics, self._here.store, entry)
        self.ready_at = time.perf_counter()
        self.bytes_before = sum(entry.get("bytes_in", 0) for entry in self._done_here)
        self._here, self._done_here = None, []
        give_back_memory()
        return True

    def _run_on_actors(
        self, tasks: Iterator[Task], slots: list[Slot]
    ) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        ray = self._ray
        attempts: dict[Task, int] = {}
        again: deque[Task] = deque()
        exhausted = False
        while True:
            for slot in self._free_slots(slots):
                if again:
                    self._send(slot, again.popleft())
                elif not exhausted:
                    task = next(tasks, None)
                    if task is None:
                        exhausted = True
                        break
                    self._send(slot, task)
            references = [r for s in slots for r, _ in list(s.waiting)[:1]]
            starting = [s.ready for s in slots if not s.alive]
            if not references and exhausted and not again:
                return
            done, _ = ray.wait(references + starting, num_returns=1, timeout=10)
            for reference in done:
                yield from self._finish(reference, slots, attempts, again)

    @staticmethod
    def _free_slots(slots: list[Slot]) -> Iterator[Slot]:
        """Slots with room, emptiest first, so that every actor gets a task before any gets two."""
        for depth in range(IN_FLIGHT):
            for slot in slots:
                if slot.alive and len(slot.waiting) == depth:
                    yield slot

    def _send(self, slot: Slot, task: Task) -> None:
        block = task.block if isinstance(task, ShardTask) else None
        bare = replace(task, block=None) if isinstance(task, ShardTask) else task
        slot.waiting.append((slot.actor.process.remote(bare, block), task))

    def _finish(
        self, reference: Any, slots: list[Slot], attempts: dict[Task, int], again: deque[Task]
    ) -> Iterator[tuple[Task, dict[str, Any] | Failure]]:
        ray = self._ray
        for slot in slots:
            if reference == slot.ready and not slot.alive:
                self._check_start(slot)
                return
            if not slot.waiting or slot.waiting[0][0] != reference:
                continue
            _, task = slot.waiting.popleft()
            try:
                yield task, ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                cause = error.cause  # our own text of what happened, without Ray's of where
                if isinstance(cause, RecipeError):
                    yield task, Failure(task, str(cause), 1, fatal=True)
                    return
                text = str(cause) if isinstance(cause, RaylibError) else error_text(error.as_instanceof_cause())
                yield from self._retry(task, text, attempts, again)
            except ray.exceptions.RayError as error:  # the actor died; Ray restarts it
                # tasks queued behind the one in work did not run: they go back without a mark
                again.extend(t for _, t in slot.waiting)
                slot.waiting.clear()
                slot.alive = False
                slot.ready = slot.actor.ready.remote()
                yield from self._retry(task, error_text(error), attempts, again)
            return

    def _check_start(self, slot: Slot) -> None:
        ray = self._ray
        try:
            ray.get(slot.ready)
            slot.alive = True
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayActorError as error:
            cause = getattr(error, "cause", None) or getattr(error, "actor_init_failed", False)
            if cause or "__init__" in str(error):
                raise RaylibError(f"a worker cannot set up its stages: {error_text(error)}") from None
            time.sleep(0.2)  # died while starting, perhaps with its node: place a new one
            slot.actor = slot.make.remote(self._job)
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
        if self._cluster is None:
            for slot in (*self._slots, *self._gpu_slots):
                self._ray.kill(slot.actor)
            return
        try:
            if self._ray is not None:
                self._ray.shutdown()
        finally:
            self._closing = threading.Thread(target=self._cluster.stop)
            self._closing.start()

    def wait_closed(self) -> None:
        if self._closing is not None:
            self._closing.join()


def _object_store_bytes(actors: int, block_bytes: int) -> int:
    """Room for the blocks in flight with a margin; Ray spills to disk beyond it.

    Not much more than that: the store touches all of its memory sooner or later, and keeps it.
    """
    in_flight = actors * IN_FLIGHT + _READ_AHEAD + 1
    return max(160 << 20, int(in_flight * block_bytes * 2))
