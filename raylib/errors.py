"""The error tree. Every message says what went wrong, where, and what to do about it."""

from __future__ import annotations

__all__ = [
    "RaylibError",
    "RecipeError",
    "RecordError",
    "ShardError",
    "SourceError",
    "TrainingError",
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
