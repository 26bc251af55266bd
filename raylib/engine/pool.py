"""A pool of Ray actors with back-pressure, retries and restarts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raylib.cluster.watch import Watch
from raylib.engine.absence import Absence
from raylib.engine.actor import Born, Done, WorkerActor, fault_of, remote
from raylib.engine.deaths import Deaths
from raylib.engine.executor import Result
from raylib.engine.faults import Failure, Fault, FaultKind, TaskError, error_text, is_tried_again, setup_error
from raylib.engine.slowness import Slowness, end_worker
from raylib.engine.task_log import emit
from raylib.engine.tasks import Job, ShardTask, Task

if TYPE_CHECKING:
    import ray

    from raylib.recipe import EngineOptions

__all__ = ["IN_FLIGHT", "Pool"]


IN_FLIGHT = 2  # a task in work and one waiting, so that an actor never idles
_TURN = 2.0  # seconds after which the driver looks up from waiting


@dataclass
class _Slot:
    """An actor and its tasks. The first one in `waiting` is in work."""

    actor: ray.actor.ActorHandle
    ready: ray.ObjectRef
    alive: bool = False
    waiting: deque[tuple[ray.ObjectRef, Task]] = field(default_factory=deque)
    born: Born | None = None
    begun: float = 0.0  # when the first task in `waiting` went into work
    expired: bool = False  # whether that one has taken longer than a task may

    def begin_next(self) -> None:
        """Note that the next task is in work."""
        self.begun, self.expired = time.monotonic(), False


@dataclass
class _Retries:
    """Tasks of one phase that are tried again, and how often each was tried."""

    most: int
    again: deque[Task] = field(default_factory=deque)
    _attempts: dict[Task, int] = field(default_factory=dict)

    def after(self, task: Task, fault: Fault) -> Failure | None:
        """The failure, if it is final; otherwise the task goes back into the queue."""
        attempts = self._attempts[task.bare] = self._attempts.get(task.bare, 0) + 1
        failure = Failure(task, fault, attempts)
        if not is_tried_again(failure, self.most):
            return failure
        self.again.append(task)
        return None


class Pool:
    """Actors that do tasks.

    Args:
        job: The run.
        count: Number of actors.
        options: The `engine` part of the recipe.
        watch: Looks after Ray.
        num_cpus: CPUs, or a share of one, of an actor.
        num_gpus: GPUs, or a share of one, of an actor.
    """

    def __init__(
        self, job: Job, count: int, options: EngineOptions, watch: Watch, *, num_cpus: float, num_gpus: float = 0
    ) -> None:
        import ray  # noqa: PLC0415 - loads in seconds

        self._ray = ray
        self._job, self._options, self._watch = job, options, watch
        self._deaths = Deaths(count)
        self._slowness = Slowness(options.task_minutes)
        # No restarts by Ray: it would place an actor that dies while it starts anew for ever, and say nothing.
        self._class = remote(WorkerActor).options(
            max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD", num_cpus=num_cpus, num_gpus=num_gpus
        )
        self._absence = Absence(lambda: sum(n["Alive"] and "CPU" in n["Resources"] for n in ray.nodes()))
        self._slots = [self._new_slot() for _ in range(count)]

    def _new_slot(self) -> _Slot:
        actor = self._class.remote(self._job)
        return _Slot(actor, actor.ready.remote())

    def some_actor_lives(self, wait: float) -> bool:
        """Whether a first actor is there.

        Args:
            wait: Seconds to wait for one.

        Raises:
            RaylibError: an actor cannot set up its stages.
        """
        starting = [s.ready for s in self._slots if not s.alive]
        deadline = time.monotonic() + wait
        while True:
            left = deadline - time.monotonic()
            done, _ = self._ray.wait(starting, num_returns=1, timeout=max(0.0, min(left, _TURN)))
            self._watch.check()
            if done or left <= _TURN:
                break
        for slot in self._slots:
            if slot.ready in done:
                self._check_start(slot)
        return any(slot.alive for slot in self._slots)

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Result]]:
        """Do tasks; see `Executor.run`."""
        retries = _Retries(self._options.retries)
        exhausted = False
        while True:
            exhausted = self._fill(tasks, retries.again, exhausted)
            working = [slot.waiting[0][0] for slot in self._slots if slot.waiting]
            starting = [slot.ready for slot in self._slots if not slot.alive]
            if not working and exhausted and not retries.again:
                return
            done, _ = self._ray.wait(working + starting, num_returns=1, timeout=_TURN)
            self._watch.check()
            self._absence.note(any(slot.alive for slot in self._slots))
            self._look_after_slow_tasks()
            for reference in done:
                yield from self._take(reference, retries)

    def _look_after_slow_tasks(self) -> None:
        """Say which tasks take long, and end workers whose task takes longer than it may."""
        for slot in self._slots:
            if slot.alive and slot.waiting and slot.born is not None and not slot.expired:
                slot.expired = self._slowness.is_over(slot.waiting[0][1], slot.begun, slot.born)
                if slot.expired:
                    end_worker(slot.born)
                    self._ray.kill(slot.actor)

    def _fill(self, tasks: Iterator[Task], again: deque[Task], exhausted: bool) -> bool:
        """Send tasks to all actors that have room. Returns whether `tasks` has ended."""
        for slot in self._free_slots():
            if again:
                self._send(slot, again.popleft())
            elif not exhausted:
                task = next(tasks, None)
                if task is None:
                    return True
                self._send(slot, task)
        return exhausted

    def _free_slots(self) -> Iterator[_Slot]:
        """Slots with room, emptiest first, so that every actor gets a task before any gets two."""
        for depth in range(IN_FLIGHT):
            for slot in self._slots:
                if slot.alive and len(slot.waiting) == depth:
                    yield slot

    @staticmethod
    def _send(slot: _Slot, task: Task) -> None:
        block = task.block if isinstance(task, ShardTask) else None
        if not slot.waiting:
            slot.begin_next()
        slot.waiting.append((slot.actor.process.remote(task.bare, block), task))

    def _take(self, reference: ray.ObjectRef, retries: _Retries) -> Iterator[tuple[Task, Result]]:
        """Handle a reference that is done: an actor has started, has done its task, or has died."""
        for slot in self._slots:
            if reference == slot.ready and not slot.alive:
                self._check_start(slot)
                return
            if slot.waiting and slot.waiting[0][0] == reference:
                _, task = slot.waiting.popleft()
                result = self._result(slot, reference, task, retries)
                slot.begin_next()
                if result is not None:
                    yield task, result
                return

    def _result(self, slot: _Slot, reference: ray.ObjectRef, task: Task, retries: _Retries) -> Result | None:
        """The result of a task; None when it is tried again."""
        try:
            done: Done = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TaskError):
                emit(error.cause.lines, task.title)
            return retries.after(task, fault_of(error))
        except self._ray.exceptions.RayError as error:
            # the actor died; tasks queued behind the one in work did not run: they go back without a mark
            retries.again.extend(t for _, t in slot.waiting)
            slot.waiting.clear()
            self._replace(slot)
            lost = self._slowness.fault if slot.expired else fault_of(error)
            if not slot.expired:
                self._deaths.add(lost.text)
            kind = FaultKind.LOST_WORKER if lost.kind is FaultKind.OTHER else lost.kind
            return retries.after(task, Fault(kind, lost.text))
        self._deaths.forget()
        self._slowness.note(time.monotonic() - slot.begun)
        emit(done.lines, task.title)
        return done.entry

    def _replace(self, slot: _Slot) -> None:
        """Place a new actor for one that died, or that cannot be reached."""
        self._ray.kill(slot.actor)
        fresh = self._new_slot()
        slot.actor, slot.ready, slot.alive, slot.born = fresh.actor, fresh.ready, False, None

    def _check_start(self, slot: _Slot) -> None:
        """Note that an actor has started, or place a new one for one that died.

        Raises:
            RaylibError: it cannot set up its stages, or actors die again and again.
        """
        errors = self._ray.exceptions
        try:
            slot.born = self._ray.get(slot.ready)
            emit(slot.born.lines, "a new worker")
            slot.alive = True
        except errors.RayTaskError as error:
            raise setup_error(fault_of(error), self._job.root) from None
        except errors.RayActorError as error:
            if error.actor_init_failed:
                raise setup_error(Fault(FaultKind.SETUP, error_text(error)), self._job.root) from None
            self._deaths.add(error_text(error))
            time.sleep(0.2)  # died while starting, perhaps with its node
            self._replace(slot)

    def kill(self) -> None:
        """End all actors."""
        for slot in self._slots:
            self._ray.kill(slot.actor)
