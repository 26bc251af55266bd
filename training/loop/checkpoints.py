"""Checkpoints: written under a temporary name, completed and renamed; the last few, the best and the final one."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import orjson
import torch
from torch import Tensor

from raylib.atomic import sync, write_atomically
from raylib.errors import TrainingError
from raylib.foreign_json import read_json
from raylib.model_folders import loaded
from training.loop.state import TrainState
from training.model.backend import Backend
from training.model.saving import Writer
from training.model.world import World

__all__ = ["Checkpoints", "RandomState", "random_state", "restore_random_state"]

logger = logging.getLogger(__name__)


class RandomState(TypedDict, total=False):
    """States of the random generators of a worker; `cuda` only where there is a GPU.

    Tensors and plain values only, so that reading it back unpickles nothing else.
    """

    torch: Tensor
    numpy: list[str | Tensor | int | float]
    python: tuple[int, tuple[int, ...], float | None]
    cuda: Tensor


class _Complete(TypedDict):
    """What `complete.json` holds; `best` is null before the first evaluation."""

    phase: int
    step: int
    total: int
    best: float | None
    tokens: int
    updates: int
    workers: int


def random_state() -> RandomState:
    """The states of all random generators of this worker."""
    legacy = np.random.get_state(legacy=False)
    keys, position = legacy["state"]["key"], legacy["state"]["pos"]
    state = RandomState(
        torch=torch.get_rng_state(),
        numpy=[
            str(legacy["bit_generator"]),
            torch.from_numpy(keys.astype(np.int64)),
            int(position),
            int(legacy["has_gauss"]),
            float(legacy["gauss"]),
        ],
        python=random.getstate(),
    )
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: RandomState) -> None:
    """Put all random generators into these states."""
    torch.set_rng_state(state["torch"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    assert isinstance(keys, Tensor)
    inner = {"key": keys.numpy().astype(np.uint32), "pos": position}
    np.random.set_state({"bit_generator": name, "state": inner, "has_gauss": has_gauss, "gauss": gauss})
    random.setstate(state["python"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


class Checkpoints:
    """The folder `checkpoints` of a run.

    A checkpoint is a folder `step-N`: the states of all workers, and `complete.json`, which is written last and says
    how far the run had come. Threads of the workers write it under a temporary name while training continues. It is
    renamed when all of them have finished, and only then are older ones removed, so a crash while saving leaves the
    chain intact. Complete checkpoints older than the last `keep` are removed. `best`, `final` and everything else
    stays.

    Args:
        folder: The folder.
        world: This worker among the others.
        keep: Number of checkpoints to keep.
        background: Whether training continues while files are written.
    """

    def __init__(self, folder: Path, world: World, keep: int, *, background: bool = False) -> None:
        self.folder, self.world, self.keep = folder, world, keep
        self.writer = Writer(background=background)
        self._pending: tuple[str, dict[str, int | float]] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, backend: Backend, state: TrainState) -> None:
        """Begin a checkpoint. All workers call it, and `finish` after each further step."""
        self.finish(wait=True)
        temporary = self.folder / f"{name}.tmp"
        if self.world.rank == 0:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self.world.barrier()
        backend.save(temporary, self.writer)
        self.writer.save(random_state(), temporary / f"random-{self.world.rank}.pt")
        self._pending = (name, state.to_json())
        self.finish(wait=not self.writer.background)

    def finish(self, *, wait: bool) -> None:
        """Complete the checkpoint that was begun. All workers call it.

        Args:
            wait: Whether to wait until all workers have written it; otherwise an unfinished one stays pending.
        """
        if wait:
            self.writer.wait()
        if self._pending is None:
            return
        ready = self.writer.done()
        if self.world.total(torch.tensor(float(ready))) < self.world.size:
            return
        (name, facts), self._pending = self._pending, None
        if self.world.rank == 0:
            target, temporary = self.folder / name, self.folder / f"{name}.tmp"
            whole = orjson.dumps({**facts, "workers": self.world.size})
            write_atomically(temporary / "complete.json", whole)
            self._replace(temporary, target)
            self._rotate(target)
            logger.debug("checkpoint %s is complete", target)
        if wait:
            self.world.barrier()

    def save_model(self, name: str, write: Callable[[Path], None]) -> None:
        """Write weights alone, such as `best` and `final`. Worker 0 calls it.

        Args:
            name: Name of the model's folder.
            write: Fills a folder; called in the writer's thread.
        """

        def piece() -> None:
            temporary = self.folder / f"{name}.tmp"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            write(temporary)
            for file in temporary.rglob("*"):
                if file.is_file():
                    sync(file)
            self._replace(temporary, self.folder / name)

        self.writer.submit(piece)

    @staticmethod
    def _replace(temporary: Path, target: Path) -> None:
        """Rename a folder, in place of an older one of that name."""
        old = target.with_name(target.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.rename(target, old)
        os.rename(temporary, target)
        shutil.rmtree(old, ignore_errors=True)

    def steps(self) -> list[tuple[int, Path]]:
        """Complete checkpoints to resume from, oldest first."""
        found = []
        for path in self.folder.glob("step-*"):
            number = path.name.removeprefix("step-")
            if number.isdigit() and (path / "complete.json").is_file():
                found.append((int(number), path))
        return sorted(found)

    def latest(self) -> tuple[Path, dict[str, int | float | None]] | None:
        """The newest complete checkpoint, and the content of its `complete.json`.

        Raises:
            TrainingError: That file is damaged.
        """
        steps = self.steps()
        if not steps:
            return None
        facts: Any = read_json(steps[-1][1] / "complete.json", _Complete, TrainingError)
        return steps[-1][1], facts

    def _rotate(self, newest: Path) -> None:
        """Remove the oldest checkpoints beyond `keep`, but never the one just written."""
        for _, path in self.steps()[: -self.keep]:
            if path != newest:
                shutil.rmtree(path, ignore_errors=True)

    def load_random_state(self, path: Path) -> None:
        """Restore this worker's generators, if a worker of its number took part in the save."""
        file = path / f"random-{self.world.rank}.pt"
        if file.is_file():
            restore_random_state(loaded(lambda: torch.load(file, weights_only=True), str(file), "checkpoint"))
