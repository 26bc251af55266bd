"""Small runs: records, a recipe, what a run left, and a progress display that counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from raylib.engine import Progress
from raylib.recipe import Recipe
from raylib.storage.entry import RoundEntry, ShardEntry
from tests.texts import ARTICLE

Write = Callable[..., Path]
STAGES: list[Any] = [
    {"length": {"min": 10}},
    "remove_urls",
    {"keep_where": 'source != "bad"'},
    "exact_dedup",
    "trim_punctuation",
]


def rows(n: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{i:06d}",
            "source": "bad" if i % 10 == 3 else "good",
            "text": f"{ARTICLE}第{i // 2 if i % 4 == 0 else i}篇，见 http://a.cn/{i % 7}，完。",
            **({"extra": i} if i % 5 == 0 else {}),
        }
        for i in range(n)
    ]


def recipe(source: Path, out: Path, stages: list[Any] | None = None, **overrides: Any) -> Recipe:
    data = {
        "input": {"path": str(source)},
        "output": {"path": str(out)},
        "engine": {"mode": "inline", "batch_mb": 0.1},
        "stages": STAGES if stages is None else stages,
    }
    return Recipe.from_dict(data, "test", overrides={k.replace("__", "."): v for k, v in overrides.items()})


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for d in ("kept", "rejected") for p in sorted((out / d).iterdir())}


class Count(Progress):
    """Counts what was done and what was found done."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.resumed: dict[str, int] = {}

    def advance(self, entry: ShardEntry | RoundEntry, done_bytes: int, *, resumed: bool) -> None:
        where = self.resumed if resumed else self.done
        where[str(entry.phase)] = where.get(str(entry.phase), 0) + 1
