"""Stages that look at all records, one after the other: marks of one are replaced by the next, nothing is left over."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from tests.dedup.corpus import corpus

Write = Callable[..., Path]
FIRST: list[Any] = [
    {"minhash_dedup": {"mark": True}},
    "exact_dedup",
    {"line_dedup": {"min_documents": 2, "keep": "first"}},
    {"semantic_dedup": {"threshold": 0.9}},
]
THEN: list[Any] = ["cluster", {"minhash_dedup": {"mark": True}}, "exact_dedup", "line_dedup", "semantic_dedup"]


def inputs() -> dict[str, list[dict[str, Any]]]:
    rng = random.Random(3)
    apart = [
        {"id": f"{i:02d}", "text": "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(200))} for i in range(30)
    ]
    return {
        "some": corpus(30),
        "all stay": apart,
        "one stays": [{"id": str(i), "text": apart[0]["text"]} for i in range(12)],
        "one": apart[:1],
        "none": [],
    }


@pytest.mark.parametrize("kind", list(inputs()))
@pytest.mark.parametrize("first", FIRST, ids=str)
def test_every_pair_of_global_stages_ends_with_a_report(
    tmp_path: Path, write_jsonl: Write, first: Any, kind: str
) -> None:
    rows = inputs()[kind]
    out = tmp_path / "out"
    source = write_jsonl([*rows, {"id": "empty", "text": ""}] if rows else [{"id": "empty", "text": ""}])
    stages = [{"length": {"min": 1}}, "embed", first, *THEN]
    data = {
        "input": {"path": str(source)},
        "output": {"path": str(out)},
        "engine": {"mode": "inline", "batch_mb": 0.02},
        "stages": stages,
    }
    summary = run(Recipe.from_dict(data)).summary
    assert summary["records_in"] == len(rows) + 1
    assert (summary["records_kept"] > 0) == bool(rows)
    assert (out / "report.html").is_file()
