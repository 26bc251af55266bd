"""Failed tasks, and faults that no retry can mend."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass

from raylib.engine.tasks import Task
from raylib.errors import ShardError

__all__ = ["FULL_VOLUME", "Failure", "error_text", "full_volume"]


# no fault of a shard: the next one fails as well
FULL_VOLUME = {errno.ENOSPC: "no space left", errno.EDQUOT: "quota exceeded", errno.EROFS: "read-only file system"}


def full_volume(path: str, error: str) -> ShardError:
    return ShardError(f"cannot write to {path} or to the temporary folder: {error.splitlines()[-1]}. Everything committed so far is kept: make room, or give another output.path or TMPDIR, and run the same command again")  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A task that failed `attempts` times; its shard is quarantined, or the run stops."""

    task: Task
    error: str
    attempts: int
    fatal: bool = False  # every shard would fail like this one: the run stops


def error_text(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-4000:]
