"""Failed tasks: the kind of a fault is decided where the exception is caught; what follows from a kind is said here."""

from __future__ import annotations

import enum
import logging
import platform
import traceback
from dataclasses import dataclass, replace

from raylib.atomic import FULL_VOLUME
from raylib.engine.task_log import InStage, LogLine
from raylib.engine.tasks import Task
from raylib.errors import EndpointError, RaylibError, RecipeError, ShardError, StageError, UnansweredError
from raylib.extras import missing_extra

__all__ = ["Failure", "Fault", "FaultKind", "TaskError", "end_of_run", "error_text", "is_tried_again", "setup_error"]

logger = logging.getLogger(__name__)


class FaultKind(enum.Enum):
    """What kind of fault stopped a task."""

    FULL_VOLUME = "full volume"  # no room, no quota, or a volume that is mounted read-only
    STAGE = "stage"  # a stage cannot work with these columns
    SETUP = "setup"  # a worker cannot set up its stages
    ENDPOINT = "endpoint"  # a service that a stage asks refuses every question, or is dead
    UNANSWERED = "unanswered"  # some questions to a service stay open; whoever asked has tried often enough
    LOST_WORKER = "lost worker"  # the process or its machine died
    OTHER = "other"  # whatever else a shard can cause

    @property
    def is_worth_a_try(self) -> bool:
        """Whether another attempt may succeed at once."""
        return self in (FaultKind.LOST_WORKER, FaultKind.OTHER)


@dataclass(frozen=True)
class Fault:
    """What went wrong in a task. Survives pickling, which not every exception does.

    Attributes:
        kind: Decides what happens next.
        text: The message for the user.
        stage: Label of the stage that raised it; empty when none did.
    """

    kind: FaultKind
    text: str
    stage: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """The fault that an exception is.

        Args:
            error: The exception, also one that a stage raised (`InStage`).
        """
        stage = ""
        if isinstance(error, InStage) and error.__cause__ is not None:
            stage, error = error.stage, error.__cause__
        if isinstance(error, TaskError):
            return error.fault
        if _is_full_volume(error):
            return cls(FaultKind.FULL_VOLUME, error_text(error), stage)
        missing = missing_extra(error, f"the stage {stage}" if stage else "a worker")
        if missing is not None:
            return cls(FaultKind.SETUP, f"{missing} (on {platform.node()})", stage)
        if isinstance(error, EndpointError):
            kind = FaultKind.UNANSWERED if isinstance(error, UnansweredError) else FaultKind.ENDPOINT
            return cls(kind, f"{error} (asked from {platform.node()})", stage)
        if isinstance(error, StageError):
            return cls(FaultKind.STAGE, str(error), stage)
        if isinstance(error, RaylibError):
            return cls(FaultKind.OTHER, str(error), stage)
        return cls(FaultKind.OTHER, error_text(error), stage)

    def in_setup(self) -> Fault:
        """The same fault, as one that kept a worker from setting up its stages; a full volume stays one."""
        return self if self.kind is FaultKind.FULL_VOLUME else replace(self, kind=FaultKind.SETUP)


class TaskError(RaylibError):
    """Carries the fault of a task, and what was logged during it, from a worker process to the driver."""

    def __init__(self, fault: Fault, lines: tuple[LogLine, ...] = ()) -> None:
        super().__init__(fault.text)
        self.fault = fault
        self.lines = lines

    def __reduce__(self) -> tuple[type[TaskError], tuple[Fault, tuple[LogLine, ...]]]:
        return type(self), (self.fault, self.lines)


@dataclass(frozen=True)
class Failure:
    """A task that failed; its shard is quarantined, or the run stops.

    Attributes:
        task: The task.
        fault: What went wrong in the last attempt.
        attempts: Number of attempts so far.
    """

    task: Task
    fault: Fault
    attempts: int

    @property
    def kind(self) -> FaultKind:
        """Kind of the fault."""
        return self.fault.kind

    @property
    def error(self) -> str:
        """Message of the fault."""
        return self.fault.text

    @property
    def place(self) -> str:
        """The task and the stage, as log lines name them."""
        return f"{self.task.title}, stage {self.fault.stage}" if self.fault.stage else self.task.title


def is_tried_again(failure: Failure, retries: int) -> bool:
    """Whether a failed task gets another attempt. Logs the failure.

    Args:
        failure: The failed attempt.
        retries: How many attempts a task has.
    """
    a_mistake = failure.kind in (FaultKind.STAGE, FaultKind.SETUP, FaultKind.ENDPOINT)  # the run ends with this error
    level = logging.INFO if a_mistake else logging.WARNING
    logger.log(level, "%s: attempt %d of %d failed: %s", failure.place, failure.attempts, retries, failure.error)
    return failure.kind.is_worth_a_try and failure.attempts < retries


def end_of_run(fault: Fault, output: str) -> RaylibError | None:
    """The error that ends a run, for a fault that every other task would meet as well.

    Args:
        fault: What went wrong.
        output: Folder of the run, for the message.

    Returns:
        The error to raise; None for a fault of one task, whose shard is quarantined.
    """
    last_line = (fault.text.splitlines() or [""])[-1]
    match fault.kind:
        case FaultKind.FULL_VOLUME:
            return ShardError(
                f"cannot write to {output} or to the temporary folder: {last_line}. Everything committed so far is "
                "kept: make room, or give another output.path or TMPDIR, and run the same command again"
            )
        case FaultKind.STAGE:
            return RecipeError(fault.text)
        case FaultKind.SETUP:
            where = f"stage {fault.stage!r}: " if fault.stage else "a worker cannot set up its stages: "
            return RaylibError(f"{where}{fault.text}")
        case FaultKind.ENDPOINT:
            return EndpointError(fault.text)
        case FaultKind.UNANSWERED | FaultKind.LOST_WORKER | FaultKind.OTHER:
            return None


def setup_error(fault: Fault, output: str) -> RaylibError:
    """The error that ends a run whose stages cannot be set up.

    Args:
        fault: What went wrong.
        output: Folder of the run, for the message.
    """
    return end_of_run(fault.in_setup(), output) or RaylibError(fault.text)


def error_text(error: BaseException) -> str:
    """The exception as the last lines of a traceback show it."""
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-4000:]


def _is_full_volume(error: BaseException | None) -> bool:
    """Whether the error, or one that it was raised from, says that a volume takes no more data."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_VOLUME:
            return True
        error = error.__cause__
    return False
