"""Progress callbacks of a run, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raylib.storage.entry import RoundEntry, ShardEntry
from raylib.storage.summary import Summary

__all__ = ["Progress", "RunResult"]


@dataclass(frozen=True)
class RunResult:
    """The end of a run.

    Attributes:
        path: Folder of the run.
        facts: Its numbers.
    """

    path: str
    facts: Summary

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers as `summary.json` holds them."""
        return self.facts.to_json()


class Progress:
    """Progress callbacks. The base class ignores every event."""

    def phase(self, name: str, total_bytes: int, total_shards: int | None) -> None:
        """A phase begins.

        Args:
            name: Its title.
            total_bytes: Size of the input on disk, in the first phase; otherwise 0.
            total_shards: Number of shards; None while it is not known.
        """

    def advance(self, entry: ShardEntry | RoundEntry, done_bytes: int, *, resumed: bool) -> None:
        """A shard is done.

        Args:
            entry: What was done.
            done_bytes: Bytes of the input on disk that are done, in the first phase; otherwise 0.
            resumed: Whether an earlier run did it.
        """

    def message(self, text: str) -> None:
        """Something happened that a user should read."""
