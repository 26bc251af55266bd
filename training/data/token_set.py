"""A token folder opened for training, memory-mapped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson

from raylib.errors import TrainingError

__all__ = ["Kind", "TokenSet"]


Array = np.ndarray[Any, Any]
Kind = Literal["pretrain", "sft", "preference"]


class TokenSet:
    """A token folder, opened: nothing is read until it is asked for."""

    def __init__(self, path: str | Path) -> None:
        folder = Path(path)
        if not (folder / "tokens.json").is_file():
            raise TrainingError(f"{path} is no token folder (no tokens.json); `raylib tokenize` makes one")
        self.path = folder
        self.info: dict[str, Any] = orjson.loads((folder / "tokens.json").read_bytes())
        self.kind: Kind = self.info["kind"]
        self.starts: Array = np.load(folder / "starts.npy", mmap_mode="r")
        self.tokens = _Values(folder / "tokens.bin", np.dtype(self.info["dtype"]), self.info["tokens"])
        self.targets: _Values | None = None
        if self.kind != "pretrain":
            self.targets = _Values(folder / "targets.bin", np.dtype(np.uint8), self.info["tokens"])
        if int(self.starts[-1]) != self.info["tokens"]:
            raise TrainingError(f"{path} is damaged: the index ends at {int(self.starts[-1])}, tokens.json says {self.info['tokens']}")  # fmt: skip

    def __len__(self) -> int:
        """Sequences; of preferences, pairs."""
        return (len(self.starts) - 1) // (3 if self.kind == "preference" else 1)

    def sequence(self, number: int) -> tuple[Array, Array | None]:
        """Tokens and targets of one sequence."""
        a, b = int(self.starts[number]), int(self.starts[number + 1])
        return self.tokens[a:b], None if self.targets is None else self.targets[a:b]


class _Values:
    """A file of numbers that is read piece by piece. Not mapped: pages of a mapping count as the worker's memory until
    something else wants them, and over a terabyte that looks like a leak and evicts what the model needs."""

    def __init__(self, path: Path, dtype: Any, count: int) -> None:
        if path.stat().st_size != count * dtype.itemsize:
            raise TrainingError(f"{path} is damaged: {path.stat().st_size} bytes, expected {count * dtype.itemsize}")
        self._dtype, self._count = dtype, count
        self._descriptor = os.open(path, os.O_RDONLY)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice) -> Array:
        first, last, _ = part.indices(self._count)
        size = self._dtype.itemsize
        return np.frombuffer(os.pread(self._descriptor, max(last - first, 0) * size, first * size), self._dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
