"""Workers under Ray Train; loaded only for runs with Ray."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import ray
import ray.train
from ray.train import (
    ControllerError,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    WorkerGroupError,
)
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal import constants

from raylib import machine
from raylib.cluster.connection import connect
from raylib.cluster.local import LocalCluster
from raylib.cluster.metrics import RunMetrics, TrainingMetrics
from raylib.cluster.nodes import Needed, check_nodes
from raylib.cluster.surroundings import check_start
from raylib.errors import RaylibError, SourceError, TrainingError
from raylib.paths import paths_in
from training.config import TrainConfig
from training.loop.devices import takes_gpus, worker_environment
from training.loop.failure import Failure, decisive, failures_in, failures_of, forget_failures
from training.loop.folder import Result
from training.loop.logs import log_to_console
from training.loop.loop import Loop

__all__ = ["run_with_ray"]

_CALLBACKS = "_create_default_callbacks"  # Ray's method that makes the helpers of a run
_OURS: set[str] = set()  # addresses of the local clusters that this process has started


class _Order(TypedDict):
    """What a worker is asked to do: a configuration as plain data, and the folder of the run."""

    config: dict[str, object]
    folder: str


def run_with_ray(config: TrainConfig, folder: Path, address: str) -> Result:
    """Run workers with Ray Train, which restarts them after a failure.

    Args:
        config: The run.
        folder: Folder of the run.
        address: Address of a Ray cluster. If empty, the one of the environment is used, or a local one is started.

    Returns:
        How the run ended.

    Raises:
        TrainingError: if this machine has too few GPUs; if the run failed, with the reason of the worker that failed
            first.
    """
    joined = _connect(address, config.parallel.workers)
    gpus = takes_gpus(config, int(ray.cluster_resources().get("GPU", 0)), joined=joined)
    if joined:
        _check_nodes(config, folder, gpus=gpus)
    folder.mkdir(parents=True, exist_ok=True)
    forget_failures(folder)
    metrics = RunMetrics(folder.name, str(folder))
    with metrics.watch(), _own_address():
        _fit(_trainer(config, folder, gpus=gpus, joined=joined))
        failure = decisive(failures_in(folder))
        if failure is not None:
            raise failure.as_error()
    metrics.ended("complete")
    return Result.read(folder)


@contextmanager
def _own_address() -> Iterator[None]:
    """Tell Ray Train's helpers which cluster is theirs.

    One of them asks Ray whether the run is still alive, and removes its workers if not. Without RAY_ADDRESS it asks a
    cluster that it finds on this machine, which may be another one and knows nothing of the run.
    """
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    constants.ENV_VARS_TO_PROPAGATE.add("RAY_ADDRESS")
    try:
        yield
    finally:
        os.environ.pop("RAY_ADDRESS")
        if before is not None:
            os.environ["RAY_ADDRESS"] = before


def _fit(trainer: TorchTrainer) -> None:
    """Train; whatever ends the training is a TrainingError."""
    try:
        trainer.fit()
    except WorkerGroupError as error:
        failure = decisive(failures_of(error.worker_failures, str(error)))
        raise (TrainingError(str(error)[-3000:]) if failure is None else failure.as_error()) from error
    except ControllerError as error:
        raise TrainingError(f"Ray Train failed: {error.controller_failure}") from error
    except TrainingFailedError as error:
        raise TrainingError(str(error)[-3000:]) from error


def _connect(address: str, workers: int) -> bool:
    """Join a Ray cluster, or start a local one that has room for the workers.

    Returns:
        Whether the cluster may have nodes besides this machine.
    """
    if ray.is_initialized():
        return ray.get_runtime_context().gcs_address not in _OURS
    if (address or os.environ.get("RAY_ADDRESS") or "local") != "local":
        connect(address or "auto", log_to_driver=True)
        return True
    check_start()
    cluster = LocalCluster(max(machine.cpus(), workers + 1), object_store_memory=None)
    cluster.start()
    atexit.register(_end, cluster)
    while (found := cluster.address(wait=1.0)) is None:
        continue
    connect(found, log_to_driver=True, ours=True)
    _OURS.add(ray.get_runtime_context().gcs_address)
    return False


def _end(cluster: LocalCluster) -> None:
    """End a local Ray, and remove what it wrote."""
    ray.shutdown()
    cluster.stop()


def _check_nodes(config: TrainConfig, folder: Path, *, gpus: bool) -> None:
    """Ask the nodes that can hold workers whether they see model, tokenizer, tokens and the folder of the run.

    Raises:
        TrainingError: One does not.
    """
    needed = [Needed(name, path) for name, path in paths_in(config) if os.path.isabs(path)]
    try:
        check_nodes(needed, Needed("output", str(folder)), resource="GPU" if gpus else "CPU")
    except SourceError as error:
        raise TrainingError(str(error)) from None


def _without_cleaner(trainer: TorchTrainer) -> TorchTrainer:
    """The trainer without the helper that removes workers which a lost run has left behind.

    Without a dashboard it cannot ask whether the run is alive, and warns of that every second; and on a Ray of our own,
    which ends with this process, nothing is left behind.
    """
    callbacks = getattr(trainer, _CALLBACKS)

    def others() -> list[object]:
        return [c for c in callbacks() if type(c).__name__ != "PlacementGroupCleanerCallback"]

    setattr(trainer, _CALLBACKS, others)
    return trainer


def _trainer(config: TrainConfig, folder: Path, *, gpus: bool, joined: bool) -> TorchTrainer:
    """The trainer of Ray for a run, on a cluster that was joined or on a local one."""
    few, many = config.parallel.min_workers, config.parallel.workers
    workers: int | tuple[int, int] = (few, many) if 0 < few < many else many
    order = _Order(config=config.describe(), folder=str(folder))
    trainer = TorchTrainer(
        _worker,
        train_loop_config=dict(order),
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=RunConfig(
            name=config.name,
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=config.parallel.max_failures),
            worker_runtime_env={"env_vars": worker_environment(config, gpus=gpus)},
        ),
    )
    return trainer if joined else _without_cleaner(trainer)


def _worker(order: _Order) -> None:
    """One worker, whose process group exists already."""
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    log_to_console(rank, workers)
    os.environ["LOCAL_RANK"] = str(context.get_local_rank())
    os.environ["LOCAL_SIZE"] = str(context.get_local_world_size())
    config = TrainConfig.from_dict(order["config"])
    if workers != config.parallel.workers:  # a machine is missing, and min_workers allows it
        config = replace(config, parallel=replace(config.parallel, workers=workers, min_workers=0))
    folder = Path(order["folder"])
    if failures_in(folder):  # of an attempt before; another one would fail in the same way
        return
    metrics = TrainingMetrics(folder, rank)
    try:
        Loop(config, folder, report=metrics.report, beat=metrics.beat).run()
    except RaylibError as error:
        Failure.of(error, rank).write(folder)
        if workers > 1:  # ends the others, which may wait for this one
            raise
