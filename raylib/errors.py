"""The error tree. Every message says what went wrong, where, and what to do about it.

RaylibError
├── RecipeError                    a recipe or an option of it is wrong
├── ParameterError (ValueError)    a parameter of a stage or function is wrong
│   └── WrongTypeError (TypeError) a function is given a value of the wrong type
├── UnknownNameError (KeyError)    nothing, such as a stage, has this name
├── StageError (ValueError)        a stage cannot work with the columns that it is given
├── SourceError                    an input cannot be found or opened, or holds no records
├── OutputError                    an output cannot be written where it should be
├── RecordError                    one record cannot be read; it goes to the rejects
├── LockedError                    another process is writing to the output
├── ShardError                     the output cannot be written, or the books of a run do not balance
│   └── QuarantineError            shards were quarantined; the rest of the run is written
├── ClusterLostError               the Ray that does the work has ended
├── EndpointError                  a service that a stage asks refuses every question, or does not answer
│   └── UnansweredError            some questions to it got no answer; they stay open
└── TrainingError                  training cannot start or continue
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = [
    "ClusterLostError",
    "EndpointError",
    "LockedError",
    "OutputError",
    "ParameterError",
    "QuarantineError",
    "RaylibError",
    "RecipeError",
    "RecordError",
    "ShardError",
    "SourceError",
    "StageError",
    "TrainingError",
    "UnansweredError",
    "UnknownNameError",
    "WrongTypeError",
    "attempt",
    "nearest",
]

T = TypeVar("T")


class RaylibError(Exception):
    """Base of all errors that raylib raises on purpose."""


class ParameterError(RaylibError, ValueError):
    """A parameter of a stage or function is wrong; names it, its value and what would be right."""


class WrongTypeError(ParameterError, TypeError):
    """A function is given a value of the wrong type; says what it takes."""


class UnknownNameError(RaylibError, KeyError):
    """Nothing has this name; names the nearest valid one."""

    __str__ = Exception.__str__  # a KeyError would show its message in quotes


class RecipeError(RaylibError):
    """A recipe, an option or a stage parameter is wrong; names file, line, key and what would be right."""


class StageError(RaylibError, ValueError):
    """A stage cannot work with these columns, whatever the records hold. The run stops at once, without a retry."""


class MissingExtraError(RaylibError, ImportError):
    """A package of an extra of `raylib-data` is missing; names the extra and the command that installs it."""


class SourceError(RaylibError):
    """An input cannot be found or opened, or contains no records."""


class OutputError(RaylibError):
    """An output cannot be written where it should be; names the option and what stands in the way."""


class RecordError(RaylibError):
    """One record cannot be read or coerced. Never stops a run: the record goes to the rejects.

    Attributes:
        reason: Reason of the reject, such as `wrong_type`.
        detail: What is wrong with the record.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def attempt(do: Callable[[], T]) -> T | RecordError:
    """What a function returns, or the error by which it refuses a record, so that the others go on.

    Args:
        do: Function without arguments.

    Returns:
        The one or the other.
    """
    try:
        return do()
    except RecordError as error:
        return error


class LockedError(RaylibError):
    """Another process is writing to the output; names its pid, its host and when it began."""


class ShardError(RaylibError):
    """Shards were quarantined, the output cannot be written, or the books of a run do not balance."""


class QuarantineError(ShardError):
    """Shards were quarantined; the rest of the run is written, and the same command tries them again.

    Attributes:
        records_kept: Number of records that the run kept nevertheless.
    """

    def __init__(self, message: str, records_kept: int) -> None:
        super().__init__(message)
        self.records_kept = records_kept

    def __reduce__(self) -> tuple[type[QuarantineError], tuple[str, int]]:
        return type(self), (str(self), self.records_kept)


class ClusterLostError(RaylibError):
    """The Ray that does the work has ended, or workers die again and again. What was committed is kept."""


class EndpointError(RaylibError):
    """A service that a stage asks refuses every question, or does not answer: the run stops, and can be continued."""


class UnansweredError(EndpointError):
    """Some questions to a service got no answer for reasons that may pass. Their shard stays open, others go on."""


class TrainingError(RaylibError):
    """Training cannot start or continue."""


def nearest(name: object, valid: Iterable[object]) -> str:
    """A hint for a name that does not exist, to be added to an error message.

    Args:
        name: The name that was given.
        valid: Names that exist.

    Returns:
        `; did you mean 'x'?` for the closest valid name, the list of all names if none is close.
    """
    names = [str(v) for v in valid if not str(v).startswith("__")]  # those are our own columns
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.55)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid: {', '.join(sorted(names))}" if names else ""
