"""Start the workers of a run: here, as local processes, or by Ray Train. The only file here that imports ray."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import orjson

from raylib.errors import TrainingError
from training.config import TrainConfig
from training.loop.folder import Result, run_folder
from training.loop.loop import Loop

__all__ = ["Mode", "run"]


Mode = Literal["auto", "here", "local", "ray"]


def run(config: TrainConfig, *, mode: Mode = "auto", address: str = "", say: Callable[[str], None] = print) -> Result:
    """Train; continue the run of that name if it was interrupted.

    Args:
        config: what to do. Without a name the run gets a new folder and so cannot be continued.
        mode: here: in this process; local: as processes of this machine, by torch.distributed.run; ray: by Ray Train
            (v2), with its failure policy; auto: here for one plain worker, ray otherwise.
        address: of a Ray cluster; empty: the one of the environment, or a local one.
        say: gets lines for people.

    Raises:
        TrainingError: with what was wrong, of whichever worker.
    """
    config = replace(config, name=run_folder(config).name)
    folder = run_folder(config)
    if mode == "auto":
        mode = "here" if config.parallel.workers == 1 and config.parallel.backend == "plain" else "ray"
    if mode == "here":
        if config.parallel.workers > 1:
            raise TrainingError("mode here is one process; parallel.workers is more")
        if config.parallel.backend == "deepspeed":
            _single_process_group()
        return Loop(config, folder, say=say).run()
    if mode == "local":
        return _local(config, folder)
    return _ray(config, folder, address)


def _environment(config: TrainConfig) -> dict[str, str]:
    """What every worker needs before it imports torch and deepspeed."""
    env = {"TOKENIZERS_PARALLELISM": "false", "LOCAL_SIZE": str(config.parallel.workers)}
    if not _wants_gpus(config):
        env |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return env


def _wants_gpus(config: TrainConfig) -> bool:
    if config.parallel.gpus != "auto":
        return config.parallel.gpus == "yes"
    import torch

    return torch.cuda.is_available()


def _single_process_group() -> None:
    """A process group of one, which DeepSpeed wants to have."""
    import torch

    if torch.distributed.is_initialized():
        return
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_SIZE", "1")
    os.environ.setdefault("LOCAL_RANK", "0")
    with tempfile.NamedTemporaryFile(delete=False) as held:
        place = held.name
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", init_method=f"file://{place}", rank=0, world_size=1)  # fmt: skip


def _local(config: TrainConfig, folder: Path) -> Result:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "config.json"
        file.write_bytes(orjson.dumps(config.describe()))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={config.parallel.workers}", "-m", "training.loop.worker", str(file), str(folder)]  # fmt: skip
        done = subprocess.run(command, env={**os.environ, **_environment(config), "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    if done.returncode:
        reason = [
            line
            for line in done.stderr.splitlines()
            if re.search(r"\b\w*Error: ", line) and "torch.distributed" not in line
        ]
        raise TrainingError(f"a worker failed: {reason[-1].strip() if reason else done.stderr[-2000:]}")
    return Result.read(folder)


def _worker(told: dict[str, Any]) -> None:
    """What Ray Train calls in each worker; its process group is there already."""
    import ray.train

    config = TrainConfig.from_dict(told["config"])
    rank = ray.train.get_context().get_world_rank()
    os.environ["LOCAL_RANK"] = str(ray.train.get_context().get_local_rank())
    os.environ["LOCAL_SIZE"] = str(ray.train.get_context().get_local_world_size())
    workers = ray.train.get_context().get_world_size()
    if workers != config.parallel.workers:  # a machine is missing, and min_workers allows it
        config = replace(config, parallel=replace(config.parallel, workers=workers, min_workers=0))
    from raylib.cluster.metrics import TrainingMetrics

    metrics = TrainingMetrics(Path(told["folder"]).name, rank)
    Loop(config, Path(told["folder"]), report=metrics.report, beat=metrics.beat).run()


def _ray(config: TrainConfig, folder: Path, address: str) -> Result:
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from raylib.cluster.connection import use_token

    gpus = _wants_gpus(config)
    if not ray.is_initialized():
        if address or os.environ.get("RAY_ADDRESS"):
            use_token()
            ray.init(address=address or "auto", log_to_driver=True, logging_level="ERROR")
        else:
            ray.init(num_cpus=max(os.cpu_count() or 1, config.parallel.workers + 1), include_dashboard=False, log_to_driver=True, logging_level="ERROR")  # fmt: skip
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    few, many = config.parallel.min_workers, config.parallel.workers
    workers: int | tuple[int, int] = (few, many) if 0 < few < many else many
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"config": config.describe(), "folder": str(folder)},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=RunConfig(
            name=config.name,
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=config.parallel.max_failures),
            worker_runtime_env={"env_vars": _environment(config)},
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        lines = [line for line in str(error).splitlines() if "TrainingError" in line]
        raise TrainingError(
            lines[-1].split("TrainingError:", 1)[-1].strip() if lines else str(error)[-3000:]
        ) from error
    return Result.read(folder)
