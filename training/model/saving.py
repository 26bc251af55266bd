"""Files written by a thread while training goes on: states are copied first, so that what is written is one moment."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["Writer", "snapshot"]


def snapshot(value: Any, memo: dict[Any, Tensor] | None = None) -> Any:
    """A copy of nested dicts, lists and tuples whose tensors are on the CPU and nobody else's.

    Tensors that are one before are one afterwards (tied weights), and of a part of a storage only that part is copied.
    """
    memo = {} if memo is None else memo
    if isinstance(value, Tensor):
        key = (value.untyped_storage().data_ptr(), value.storage_offset(), value.shape, value.stride(), value.dtype)
        if key not in memo or value.numel() == 0:
            memo[key] = torch.empty(value.shape, dtype=value.dtype).copy_(value.detach())
        return memo[key]
    if isinstance(value, dict):
        made = copy.copy(value)  # an OrderedDict stays one, with what hangs on it
        for name, item in value.items():
            made[name] = snapshot(item, memo)
        return made
    if type(value) in (list, tuple):
        return type(value)(snapshot(item, memo) for item in value)
    return value


class Writer:
    """Does pieces of writing one after the other, in a thread of this worker or at once.

    Raises what a piece raised in `done` or `wait`, whichever is asked first.
    """

    def __init__(self, *, background: bool) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint") if background else None
        self._pieces: list[Future[None]] = []

    @property
    def background(self) -> bool:
        """Whether training goes on meanwhile."""
        return self._pool is not None

    def submit(self, piece: Callable[[], None]) -> None:
        """Have a piece done."""
        if self._pool is None:
            piece()
        else:
            self._pieces.append(self._pool.submit(piece))

    def save(self, state: Any, path: str | Path) -> None:
        """`torch.save` of the state as it is now, and on the disk when it is done."""
        held = snapshot(state) if self._pool is not None else state
        self.submit(lambda: _save(held, path))

    def done(self) -> bool:
        """Whether everything given so far is written."""
        while self._pieces and self._pieces[0].done():
            self._pieces.pop(0).result()
        return not self._pieces

    def wait(self) -> None:
        """Until everything given so far is written."""
        while self._pieces:
            self._pieces.pop(0).result()


def _save(state: Any, path: str | Path) -> None:
    with Path(path).open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
