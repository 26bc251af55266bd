"""The process group of a training run, and reductions over it."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

__all__ = ["World"]


class World:
    """This worker among the others, and the few things that workers tell each other."""

    def __init__(self) -> None:
        self.rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self.size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
            torch.cuda.set_device(self.device)

    def total(self, value: Tensor) -> Tensor:
        """Sum over all workers, float64, on the CPU."""
        value = value.double().to(self.device)
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return value.cpu()

    def gather(self, value: Any) -> list[Any]:
        """A small object of every worker, on every worker."""
        if self.size == 1:
            return [value]
        out: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(out, value)
        return out

    def barrier(self) -> None:
        if self.size > 1:
            torch.distributed.barrier()
