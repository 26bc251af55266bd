"""Whether workers take GPUs, and the variables that follow from it."""

from __future__ import annotations

import logging

import torch

from raylib.errors import TrainingError
from training.config import TrainConfig

__all__ = ["takes_gpus", "worker_environment"]

logger = logging.getLogger(__name__)


def worker_environment(config: TrainConfig, *, gpus: bool) -> dict[str, str]:
    """Variables that every worker needs before it imports torch and deepspeed.

    Args:
        config: The run.
        gpus: Whether the worker takes a GPU.
    """
    variables = {"TOKENIZERS_PARALLELISM": "false", "LOCAL_SIZE": str(config.parallel.workers)}
    if not gpus:
        variables |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return variables


def takes_gpus(config: TrainConfig, there: int, *, joined: bool) -> bool:
    """Whether each worker takes a GPU.

    Args:
        config: The run.
        there: Number of GPUs that this machine or Ray has.
        joined: Whether a Ray cluster was joined, which may have other machines and get more of them.

    Raises:
        TrainingError: if this machine has fewer GPUs than workers, which would wait for ever.
    """
    wanted, needed = config.parallel.gpus, config.parallel.min_workers or config.parallel.workers
    if wanted == "no" or (wanted == "auto" and not there):
        if joined and wanted == "auto":
            logger.warning("Ray has no GPU now, so the workers train on CPUs; parallel.gpus: yes waits for GPUs")
        return False
    if wanted == "auto" and not joined and not torch.cuda.is_available():
        return False
    if there < needed and not joined:
        fewer = f"parallel.workers={there}, or " if there else ""
        raise TrainingError(
            f"parallel.workers: {needed} workers need a GPU each, but this machine has {there}; set {fewer}"
            "parallel.gpus=no to train on CPUs"
        )
    if there < needed:
        logger.warning("Ray has %d GPUs now, and %d workers need one each; they wait for more", there, needed)
    return True
