"""Progress callbacks of a run, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Progress", "RunResult"]


@dataclass(frozen=True)
class RunResult:
    """The end of a run: its folder and the content of `summary.json`."""

    path: str
    summary: dict[str, Any]


@dataclass
class Progress:
    """What a progress display is told. The default tells nobody."""

    def phase(self, name: str, total_bytes: int, total_shards: int | None) -> None: ...

    def advance(self, entry: Mapping[str, Any], done_bytes: int, *, resumed: bool) -> None: ...

    def message(self, text: str) -> None: ...
