"""The error tree. Every message says what went wrong, where, and what to do about it.

RaylibError            everything that raylib raises on purpose: one clear line on the command line
├── RecipeError        a recipe or one of its options
├── ParameterError     a parameter of a stage or function (also a ValueError)
├── UnknownNameError   a name that nothing has, such as that of a stage (also a KeyError)
├── StageError         a stage cannot work with these columns (also a ValueError)
├── SourceError        an input
├── RecordError        one record; it goes to the rejects
├── ShardError         quarantined shards, or books that do not balance
└── TrainingError      a training run
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ParameterError",
    "RaylibError",
    "RecipeError",
    "RecordError",
    "ShardError",
    "SourceError",
    "StageError",
    "TrainingError",
    "UnknownNameError",
    "nearest",
]


class RaylibError(Exception):
    """Base of all errors that raylib raises on purpose."""


class RecipeError(RaylibError):
    """A recipe, an option or a stage parameter is wrong; names file, line, key and what would be right."""


class SourceError(RaylibError):
    """An input cannot be found, opened or contains no records."""


class RecordError(RaylibError):
    """One record cannot be read or coerced. Never stops a run: the record goes to the rejects."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class ShardError(RaylibError):
    """Shards were quarantined, or the books of a run do not balance."""


class TrainingError(RaylibError):
    """Training cannot start or continue."""


class ParameterError(RaylibError, ValueError):
    """A parameter of a stage or function is wrong; names it, its value and what would be right."""


class UnknownNameError(RaylibError, KeyError):
    """Nothing has this name; names the nearest valid one."""

    __str__ = Exception.__str__  # a KeyError would show its message in quotes


class StageError(RaylibError, ValueError):
    """A stage cannot work with these columns, whatever the records hold. The run stops at once without a retry."""


def nearest(name: str, valid: Iterable[object]) -> str:
    """The end of an error message: `; did you mean 'x'?` for the closest valid name, or all names if none is close."""
    names = [str(v) for v in valid]
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.55)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid: {', '.join(sorted(names))}" if names else ""
