"""The rounds of global stages: shuffles by ranges of the key space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raylib.engine.fingerprints import digest

__all__ = ["KEY_SPACE", "Shuffle"]


KEY_SPACE = 1 << 64


@dataclass
class Shuffle:
    """Where the rounds of one global stage stand: which files come next, how large they are, what determines them."""

    segment: int
    shards: tuple[str, ...]
    key: str
    bytes: int
    runs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    def share(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self.shared += tuple(name for e in entries.values() for name in e["files"])
        self.key = digest(self.key, [(s, e["key"]) for s, e in entries.items()])

    def advance(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self.runs = tuple(name for e in entries.values() for name in e["files"])
        self.bytes = sum(e["bytes"] for e in entries.values())
        self.key = digest(self.key, [(s, e["key"]) for s, e in entries.items()])
