"""Starting the workers of a run: in this process, as local processes, or with Ray Train."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, cast

import orjson
import torch

from raylib.cluster.connection import use_token
from raylib.cluster.metrics import TrainingMetrics
from raylib.errors import TrainingError
from training.config import TrainConfig
from training.loop.failure import decisive, failures_in, failures_of
from training.loop.folder import Result, run_folder
from training.loop.logs import log_to_console
from training.loop.loop import Loop

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer

__all__ = ["Mode", "run", "single_process_group"]

logger = logging.getLogger(__name__)

Mode = Literal["auto", "here", "local", "ray"]


class _Order(TypedDict):
    """What a worker under Ray is asked to do: a configuration as plain data, and the folder of the run."""

    config: dict[str, object]
    folder: str


def run(
    config: TrainConfig, *, mode: Mode = "auto", address: str = "", say: Callable[[str], None] | None = None
) -> Result:
    """Train, or continue the run of that name if it was interrupted.

    Args:
        config: The run. Without a name it gets a new folder, so it cannot be continued.
        mode: Where workers run. `here` is this process; `local` starts processes on this machine with
            torch.distributed.run; `ray` uses Ray Train (v2) and its failure policy; `auto` is `here` for a single
            worker with the plain backend and `ray` otherwise.
        address: Address of a Ray cluster. If empty, the one of the environment is used, or a local one is started.
        say: Receives lines for people in mode `here`; by default they are logged, and shown on the console unless the
            program has set up logging.

    Returns:
        How the run ended.

    Raises:
        TrainingError: if the run cannot start or continue, on whichever worker.
    """
    log_to_console()
    config = replace(config, name=run_folder(config).name)
    folder = run_folder(config)
    if mode == "auto":
        mode = "here" if config.parallel.workers == 1 and config.parallel.backend == "plain" else "ray"
    if mode == "here":
        return _here(config, folder, say)
    return _local(config, folder) if mode == "local" else _ray(config, folder, address)


def _here(config: TrainConfig, folder: Path, say: Callable[[str], None] | None) -> Result:
    """Run one worker in this process."""
    if config.parallel.workers > 1:
        raise TrainingError("mode here runs one process, but parallel.workers is greater; use mode local or ray")
    if config.parallel.backend == "deepspeed":
        single_process_group()
    loop = Loop(config, folder) if say is None else Loop(config, folder, say=say)
    return loop.run()


def _environment(config: TrainConfig) -> dict[str, str]:
    """Variables that every worker needs before it imports torch and deepspeed."""
    variables = {"TOKENIZERS_PARALLELISM": "false", "LOCAL_SIZE": str(config.parallel.workers)}
    if not _wants_gpus(config):
        variables |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return variables


def _wants_gpus(config: TrainConfig) -> bool:
    if config.parallel.gpus != "auto":
        return config.parallel.gpus == "yes"
    return torch.cuda.is_available()


def single_process_group() -> None:
    """Create a process group of one worker, which DeepSpeed needs."""
    if torch.distributed.is_initialized():
        return
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_SIZE", "1")
    os.environ.setdefault("LOCAL_RANK", "0")
    with tempfile.NamedTemporaryFile(delete=False) as held:
        place = held.name
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, init_method=f"file://{place}", rank=0, world_size=1)


def _local(config: TrainConfig, folder: Path) -> Result:
    """Run workers as processes of this machine."""
    workers = config.parallel.workers
    logger.debug("starting %d workers by torch.distributed.run", workers)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "config.json"
        file.write_bytes(orjson.dumps(config.describe()))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
        command = [*launcher, "-m", "training.loop.worker", str(file), str(folder), place]
        variables = {**os.environ, **_environment(config), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True, check=False)
        failure = decisive(failures_in(Path(place)))
    if failure is not None:
        raise failure.as_error()
    if done.returncode:  # killed, or gone before it could say why
        raise TrainingError(f"a worker ended without a reason of its own; its last lines are:\n{done.stderr[-2000:]}")
    return Result.read(folder)


def _worker(order: _Order) -> None:
    """A worker under Ray Train, whose process group exists already."""
    import ray.train  # noqa: PLC0415 - loads in seconds, and only Ray's workers need it

    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    log_to_console(rank, workers)
    os.environ["LOCAL_RANK"] = str(context.get_local_rank())
    os.environ["LOCAL_SIZE"] = str(context.get_local_world_size())
    config = TrainConfig.from_dict(order["config"])
    if workers != config.parallel.workers:  # a machine is missing, and min_workers allows it
        config = replace(config, parallel=replace(config.parallel, workers=workers, min_workers=0))
    folder = Path(order["folder"])
    metrics = TrainingMetrics(folder.name, rank)
    Loop(config, folder, report=metrics.report, beat=metrics.beat).run()


def _ray(config: TrainConfig, folder: Path, address: str) -> Result:
    """Run workers with Ray Train, which restarts them after a failure."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    from ray.train import ControllerError, TrainingFailedError, WorkerGroupError  # noqa: PLC0415 - loads in seconds

    _connect(address, config.parallel.workers)
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _trainer(config, folder).fit()
    except WorkerGroupError as error:
        failure = decisive(failures_of(error.worker_failures, str(error)))
        raise (TrainingError(str(error)[-3000:]) if failure is None else failure.as_error()) from error
    except ControllerError as error:
        raise TrainingError(f"Ray Train failed: {error.controller_failure}") from error
    except TrainingFailedError as error:
        raise TrainingError(str(error)[-3000:]) from error
    return Result.read(folder)


def _connect(address: str, workers: int) -> None:
    """Join a Ray cluster, or start a local one that has room for the workers."""
    import ray  # noqa: PLC0415 - loads in seconds

    if ray.is_initialized():
        return
    if address or os.environ.get("RAY_ADDRESS"):
        use_token()
        ray.init(address=address or "auto", log_to_driver=True, logging_level="ERROR")
    else:
        cores = max(os.cpu_count() or 1, workers + 1)
        ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=True, logging_level="ERROR")


def _trainer(config: TrainConfig, folder: Path) -> TorchTrainer:
    """The trainer of Ray for a run."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig  # noqa: PLC0415 - loads in seconds
    from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415 - loads in seconds

    gpus = _wants_gpus(config)
    few, many = config.parallel.min_workers, config.parallel.workers
    workers: int | tuple[int, int] = (few, many) if 0 < few < many else many
    order = _Order(config=config.describe(), folder=str(folder))
    return TorchTrainer(
        cast("Callable[[Mapping[str, object]], None]", _worker),
        train_loop_config=dict(order),
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=RunConfig(
            name=config.name,
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=config.parallel.max_failures),
            worker_runtime_env={"env_vars": _environment(config)},
        ),
    )
