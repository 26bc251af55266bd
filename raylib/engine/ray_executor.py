"""The executor on Ray: a pool of actors, on a local cluster or one that is running."""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from raylib import machine
from raylib.cluster.connection import connect, starts_own_cluster
from raylib.cluster.local import LocalCluster
from raylib.cluster.nodes import Needed, check_nodes
from raylib.cluster.surroundings import check_start
from raylib.cluster.watch import Watch
from raylib.engine.actor import remote, warm_up
from raylib.engine.executor import Result, without_skipped
from raylib.engine.head_start import HeadStart
from raylib.engine.pool import IN_FLIGHT, Pool
from raylib.engine.tasks import BlockSource, Job, Task
from raylib.reading.block import ReadOptions
from raylib.reading.units import Piece
from raylib.recipe import EngineOptions

if TYPE_CHECKING:
    import ray

__all__ = ["RayExecutor", "actors_for"]

logger = logging.getLogger(__name__)

_READ_AHEAD = 3  # blocks that a reader is ahead of the actors
_TURN = 2.0  # seconds after which the driver looks up from waiting for a reader
_BASE, _EACH = 800 << 20, 500 << 20  # bytes of memory that Ray with the driver takes, and an actor
_SMALLEST_STORE = 80 << 20  # bytes; Ray refuses less


class RayExecutor:
    """Runs tasks on a pool of Ray actors; starts a local Ray unless one is running or an address is given.

    A local Ray needs seconds to come up. Until then this process may do tasks itself; see `HeadStart`.

    Args:
        job: The run.
        options: The `engine` part of the recipe.
    """

    def __init__(self, job: Job, options: EngineOptions) -> None:
        self._job, self._options = job, options
        self._pool: Pool | None = None
        self._gpu_pool: Pool | None = None
        self._cluster: LocalCluster | None = None
        self._head_start: HeadStart | None = None
        self._closing: threading.Thread | None = None
        self._watch: Watch | None = None
        self._joined = False
        self.ready_at, self.bytes_before = 0.0, 0
        cpus = machine.cpus()
        self.actors = options.actors or actors_for(cpus, machine.memory())
        if starts_own_cluster(options):
            # as many CPUs as the machine has; more only when the recipe asks for more actors than that
            cpus = max(self.actors, cpus)
            store = _object_store_bytes(self.actors, job.read.block_bytes, machine.memory())
            self._cluster = LocalCluster(cpus, store, options.dashboard)

    def join(self, needed: Sequence[Needed], output: Needed | None) -> None:
        """Join a cluster that is running, and ask all of its nodes; one that is started here has this machine alone."""
        if self._cluster is not None:
            check_start()
            return
        self._join(self._options.address or "auto")
        check_nodes(needed, output)

    def start(self, input_bytes: int) -> None:
        """Start a cluster if none was joined, and wait for an actor unless this process works meanwhile."""
        if self._cluster is None:
            self._wait_for_actors(self._options.address or "auto")
            return
        self._cluster.start()
        # a stage that cannot be set up fails here, whether this process will work or not
        head_start = HeadStart(self._job, self._options, input_bytes)
        self.ready_at = time.perf_counter()
        if self._options.work_while_starting:
            self._head_start = head_start
            return
        while (address := self._cluster.address(wait=1.0)) is None:
            continue
        self._wait_for_actors(address)

    def _wait_for_actors(self, address: str) -> None:
        pool = self._connect(address)
        said = time.monotonic()
        while not pool.some_actor_lives(wait=60):
            if time.monotonic() - said > 60:
                said = time.monotonic()
                logger.warning("no actor has started within a minute; waiting (`ray status` shows what is free)")
        self.ready_at = time.perf_counter()

    def _join(self, address: str) -> ModuleType:
        """Join the cluster, unless that has been done."""
        loaded = _ray()
        self._joined = True
        if not loaded.is_initialized():
            connect(address, log_to_driver=False, ours=self._cluster is not None)
        if self._watch is None:
            self._watch = Watch(self._cluster)
        return loaded

    def _connect(self, address: str) -> Pool:
        """Join the cluster and ask for the actors."""
        cpus = int(self._join(address).cluster_resources().get("CPU", 1))
        if self._cluster is None:
            self.actors = self._options.actors or max(1, cpus)
        # A share of a CPU where more actors are wanted than there are CPUs, a whole one otherwise: pending
        # actors make an autoscaling cluster grow.
        share = 1 if self.actors <= cpus or self._options.address else max(0.01, cpus / self.actors)
        # a worker process for the first reader starts beside the actors, not after them
        remote(warm_up).options(num_cpus=0).remote()
        self._pool = Pool(self._job, self.actors, self._options, self._watched, num_cpus=share)
        logger.info("asked for %d actors on a cluster with %d CPUs", self.actors, cpus)
        return self._pool

    def blocks(self, piece: Piece, options: ReadOptions, skip: frozenset[int]) -> Iterator[BlockSource | None]:
        """Blocks that a reader task puts into the object store, a few ahead of the actors, as references.

        While Ray is coming up, this process reads; the reader passes over what it has read.
        """
        given = 0
        reads_here = not self._only_drives
        if reads_here:
            for block in without_skipped(piece, options, skip):
                if self._only_drives:
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
        for number, reference in enumerate(self._references(reader.remote(piece, options, passed))):
            if number >= given:
                yield None if number in skip else reference

    def _references(self, stream: ray.ObjectRefGenerator) -> Iterator[ray.ObjectRef]:
        """What a reader gives; looks after Ray while it waits."""
        wait = _ray().wait
        while True:
            while not wait([stream], timeout=_TURN, fetch_local=False)[0]:
                self._watched.check()
            try:
                yield next(stream)
            except StopIteration:
                return

    @property
    def _watched(self) -> Watch:
        if self._watch is None:
            raise RuntimeError("a cluster is joined first")
        return self._watch

    @property
    def _only_drives(self) -> bool:
        """Whether this process leaves all tasks and reading to actors."""
        return self._head_start is None

    def run(self, tasks: Iterator[Task], *, model: bool = False) -> Iterator[tuple[Task, Result]]:
        """Do tasks, in this process until an actor is there."""
        while self._head_start is not None and not self._take_over(self._head_start):
            # a model never runs here: floating-point sums differ in the last bits when the number of threads changes
            if model or not self._head_start.is_worthwhile:
                time.sleep(0.05)
                continue
            result = self._head_start.next_result(tasks)
            if result is None:
                return
            yield result
        yield from (self._model_pool() if model else self._started_pool()).run(tasks)

    def _started_pool(self) -> Pool:
        if self._pool is None:
            raise RuntimeError("start() comes first")
        return self._pool

    def _model_pool(self) -> Pool:
        """Actors with GPUs, made when they are first needed; the ordinary ones where there are no GPUs."""
        gpus = _ray().cluster_resources().get("GPU", 0)
        share = self._options.gpus_per_model
        if gpus < share:
            return self._started_pool()
        if self._gpu_pool is None:
            # they take no CPUs: the ordinary actors, idle meanwhile, hold those
            count = int(gpus / share)
            self._gpu_pool = Pool(self._job, count, self._options, self._watched, num_cpus=0, num_gpus=share)
        return self._gpu_pool

    def _take_over(self, head_start: HeadStart) -> bool:
        """Whether an actor is there; from then on this process only drives."""
        if self._pool is None:
            address = self._cluster.address() if self._cluster is not None else None
            if address is None:
                return False
            self._connect(address)
        if not self._started_pool().some_actor_lives(wait=0):
            return False
        self.ready_at = time.perf_counter()
        self.bytes_before = head_start.bytes_done
        self._head_start = None
        head_start.hand_over()
        return True

    def close(self) -> None:
        """End the actors on a cluster of others; begin to end a cluster that was started here."""
        if self._cluster is None:
            for pool in (self._pool, self._gpu_pool):
                if pool is not None:
                    pool.kill()
            return
        lost = self._watch is not None and self._watch.lost
        try:
            if self._joined and not lost:  # a lost one would be waited for
                _ray().shutdown()
        finally:
            self._closing = threading.Thread(target=self._cluster.stop, kwargs={"keep_logs": lost})
            self._closing.start()

    def wait_closed(self) -> None:
        """Wait until the cluster has ended."""
        if self._closing is not None:
            self._closing.join()


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    return importlib.import_module("ray")  # loads in seconds


def actors_for(cpus: int, memory: int) -> int:
    """How many actors a machine has room for.

    Args:
        cpus: Number of its processors.
        memory: Bytes of its memory.
    """
    return max(1, min(cpus, (memory - _BASE) // _EACH))


def _object_store_bytes(actors: int, block_bytes: int, memory: int) -> int:
    """Room for the blocks in flight with a margin; Ray spills to disk beyond it.

    Not much more than that: the store touches all of its memory sooner or later, and keeps it.
    """
    in_flight = actors * IN_FLIGHT + _READ_AHEAD + 1
    wanted = max(160 << 20, int(in_flight * block_bytes * 2))
    return max(_SMALLEST_STORE, min(wanted, memory // 5))
