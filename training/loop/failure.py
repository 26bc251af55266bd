"""Failures of workers, carried across the process border by kind: a file for local workers, an exception under Ray."""

from __future__ import annotations

import contextlib
import errno
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import orjson
import torch

from raylib.atomic import FULL_VOLUME
from raylib.errors import RaylibError, TrainingError

__all__ = ["Failure", "FailureKind", "decisive", "failures_in", "failures_of", "forget_failures", "recorded"]

FailureKind = Literal["user", "storage", "memory", "bug", "connection"]
"""Kind of a failure: a user's mistake, a full or read-only volume, too little memory, a lost connection to another
worker, or a bug.

Anything that is none of the others is a bug.
"""

# a connection is lost because another worker failed, so every other reason comes first
_ORDER: tuple[FailureKind, ...] = ("user", "storage", "memory", "bug", "connection")


@dataclass(frozen=True)
class Failure:
    """Why a worker failed.

    Attributes:
        kind: Kind of the failure.
        rank: Number of the worker.
        error: Name of the exception's class.
        message: The exception's message.
        traceback: The exception's traceback.
        at: Time of the failure, seconds since the epoch.
    """

    kind: FailureKind
    rank: int
    error: str
    message: str
    traceback: str
    at: float

    @classmethod
    def of(cls, error: BaseException, rank: int) -> Failure:
        """The failure that an exception is."""
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return cls(_kind(error), rank, type(error).__name__, str(error), "".join(lines), time.time())

    def write(self, folder: Path) -> None:
        """Leave it in a folder for the launching process."""
        (folder / f"failure-{self.rank}.json").write_bytes(orjson.dumps(asdict(self)))

    def as_error(self) -> TrainingError:
        """The error that the launching process raises: one clear line, or for a bug the traceback."""
        if self.kind == "user":
            return TrainingError(self.message)
        if self.kind == "storage":
            advice = "make the volume writable again" if f"[Errno {errno.EROFS}]" in self.message else "free space"
            return TrainingError(f"worker {self.rank} cannot write: {self.message}; {advice} and start the run again")
        if self.kind == "memory":
            advice = "lower micro_batch or data.sequence_length, or set model.checkpointing: true"
            return TrainingError(f"worker {self.rank} ran out of memory; {advice} ({self.message})")
        if self.kind == "connection":
            advice = "start the run again to continue from the newest checkpoint"
            return TrainingError(
                f"worker {self.rank} lost its connection to another one, which was probably killed; {advice}"
            )
        return TrainingError(f"worker {self.rank} failed with an unexpected {self.error}:\n{self.traceback.rstrip()}")


def _kind(error: BaseException) -> FailureKind:
    if isinstance(error, RaylibError):
        return "user"
    if isinstance(error, OSError) and error.errno in FULL_VOLUME:
        return "storage"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return "memory"
    return "connection" if _raised_in(error).startswith("torch.distributed.") else "bug"


def _raised_in(error: BaseException) -> str:
    """Name of the module that raised an exception; empty if it has lost its traceback."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""


@contextlib.contextmanager
def recorded(folder: Path, rank: int) -> Iterator[None]:
    """Leave a failure of the block in a folder, and let the exception pass."""
    try:
        yield
    except Exception as error:
        Failure.of(error, rank).write(folder)
        raise


def failures_in(folder: Path) -> list[Failure]:
    """Failures that workers left in a folder."""
    return [Failure(**orjson.loads(file.read_bytes())) for file in sorted(folder.glob("failure-*.json"))]


def forget_failures(folder: Path) -> None:
    """Delete what earlier failures left in a folder."""
    for file in folder.glob("failure-*.json"):
        file.unlink(missing_ok=True)


def failures_of(errors: Mapping[int, BaseException], tracebacks: str) -> list[Failure]:
    """Failures from the exceptions of workers, as Ray Train returns them.

    Args:
        errors: Exception of each worker that failed, by its rank.
        tracebacks: Their tracebacks as text, because exceptions lose them on the way.
    """
    return [replace(Failure.of(error, rank), traceback=tracebacks) for rank, error in errors.items()]


def decisive(failures: Sequence[Failure]) -> Failure | None:
    """The failure to report: a clear reason before a bug, then the first one, because others follow from it."""
    return min(failures, key=lambda f: (_ORDER.index(f.kind), f.at), default=None)
