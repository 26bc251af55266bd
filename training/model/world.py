"""The process group of a training run, and reductions over it."""

from __future__ import annotations

import os
from typing import TypeVar, cast

import torch
from torch import Tensor

__all__ = ["World"]

_Value = TypeVar("_Value")


class World:
    """This worker among the others, and the few things that workers exchange.

    Attributes:
        rank: Number of this worker, from 0.
        size: Number of workers.
        device: Device of this worker.
    """

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

    def gather(self, value: _Value) -> list[_Value]:
        """A small object of every worker, on every worker."""
        if self.size == 1:
            return [value]
        out: list[_Value | None] = [None] * self.size
        torch.distributed.all_gather_object(out, value)
        return cast("list[_Value]", out)

    def broadcast(self, value: _Value) -> _Value:
        """The object of worker 0, on every worker."""
        shared = [value]
        if self.size > 1:
            torch.distributed.broadcast_object_list(shared, src=0)
        return shared[0]

    def barrier(self) -> None:
        """Wait for all workers."""
        if self.size > 1:
            torch.distributed.barrier()
