"""Files written by a thread while training continues: state is snapshotted first, so a checkpoint is consistent."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor

__all__ = ["Writer", "snapshot"]

_State = TypeVar("_State")
_StorageKey = tuple[int, int, torch.Size, tuple[int, ...], torch.dtype]


def snapshot(value: _State, memo: dict[_StorageKey, Tensor] | None = None) -> _State:
    """A copy of nested dicts, lists and tuples whose tensors are on the CPU and shared with nobody.

    Tensors that are one and the same before (tied weights) are so afterwards. Of a storage of which a tensor is a part,
    only that part is copied.
    """
    return cast("_State", _copied(value, {} if memo is None else memo))


def _copied(value: object, memo: dict[_StorageKey, Tensor]) -> object:
    if isinstance(value, Tensor):
        place = value.untyped_storage().data_ptr(), int(value.storage_offset())
        key = (*place, value.shape, value.stride(), value.dtype)
        if key not in memo or value.numel() == 0:
            memo[key] = torch.empty(value.shape, dtype=value.dtype).copy_(value.detach())
        return memo[key]
    if isinstance(value, dict):
        made = copy.copy(value)  # an OrderedDict stays one and keeps its attributes
        for name, item in value.items():
            made[name] = _copied(item, memo)
        return made
    if type(value) is list:
        return [_copied(item, memo) for item in value]
    if type(value) is tuple:
        return tuple(_copied(item, memo) for item in value)
    return value


class Writer:
    """Does pieces of writing one after the other, in a thread of this worker or at once.

    An exception of a piece is raised by `done` or `wait`, whichever is called first.
    """

    def __init__(self, *, background: bool) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint") if background else None
        self._pieces: list[Future[None]] = []

    @property
    def background(self) -> bool:
        """Whether training continues while pieces are written."""
        return self._pool is not None

    def submit(self, piece: Callable[[], None]) -> None:
        """Have a piece done."""
        if self._pool is None:
            piece()
        else:
            self._pieces.append(self._pool.submit(piece))

    def save(self, state: object, path: str | Path) -> None:
        """`torch.save` of the state as it is now, flushed to the disk."""
        held = snapshot(state) if self._pool is not None else state
        self.submit(lambda: _save(held, path))

    def done(self) -> bool:
        """Whether everything submitted so far is written."""
        while self._pieces and self._pieces[0].done():
            self._pieces.pop(0).result()
        return not self._pieces

    def wait(self) -> None:
        """Wait until everything submitted so far is written."""
        while self._pieces:
            self._pieces.pop(0).result()


def _save(state: object, path: str | Path) -> None:
    with Path(path).open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
