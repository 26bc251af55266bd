"""Stages of rising difficulty."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import raylib
from raylib.engine import run
from raylib.recipe import Recipe
from tests.quality.rows import add_score, scored
from tests.texts import conversations

Write = Callable[..., Path]


def phases(source: Path, out: Path, **stage: Any) -> dict[str, Any]:
    data = {
        "input": {"path": str(source)},
        "engine": {"mode": "inline", "batch_mb": 0.01},
        "output": {"path": str(out), "format": "jsonl", "layout": "openai", "split_by": "stage"},
        "stages": ["difficulty_features", {"split_stages": stage}],
    }
    return dict(run(Recipe.from_dict(data, "phases")).summary)


def test_stages_do_not_overlap_and_rise(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(conversations(300))
    summary = phases(source, tmp_path / "out", by="difficulty", stages=3)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text())
    assert list(splits) == ["stage1", "stage2", "stage3"]
    assert sum(s["records"] for s in splits.values()) == 300 == summary["records_kept"]
    assert all(s["characters"] > 0 for s in splits.values())
    means = [s["mean"]["difficulty"] for s in splits.values()]
    assert means == sorted(means)
    assert means[0] < means[2]
    ids: set[str] = set()
    for name in splits:
        part = list(raylib.read(str(tmp_path / "out" / "kept" / name)))
        assert len(part) == splits[name]["records"]
        new = {r["id"] for r in part}
        assert not ids & new
        ids |= new
    phases(source, tmp_path / "control", by="difficulty", stages=3, shuffle=True)
    control = json.loads((tmp_path / "control" / "splits.json").read_text())
    assert [s["records"] for s in control.values()] == [s["records"] for s in splits.values()]
    spread = [s["mean"]["difficulty"] for s in control.values()]
    assert max(spread) - min(spread) < 0.5 * (means[2] - means[0])
    assert "stage 1" in (tmp_path / "out" / "report.html").read_text()


def test_stages_by_thresholds_and_unscored(write_jsonl: Write) -> None:
    ds = raylib.read(write_jsonl(scored())).map(add_score).stage("split_stages", by="score", thresholds=(2.0, 7.5))
    for row in ds.to_arrow().to_pylist():
        assert row["stage"] == (1 if row["score"] < 2 else 2 if row["score"] < 7.5 else 3)
    assert {r["reason"] for r in ds.rejected} == {"unscored"}
    assert len(ds.rejected) == sum(r["score"] is None for r in scored())
    last = (
        raylib.read(write_jsonl(scored()))
        .map(add_score)
        .stage("split_stages", by="score", thresholds=(2.0,), unscored="last")
    )
    assert all(r["stage"] == 2 for r in last.to_arrow().to_pylist() if r["score"] is None)
    with pytest.raises(raylib.RaylibError, match="rise"):
        ds.stage("split_stages", thresholds=(3.0, 2.0))


def test_a_stage_behind_may_reject(tmp_path: Path, write_jsonl: Write) -> None:
    data = {
        "input": {"path": str(write_jsonl(conversations(90)))},
        "engine": {"mode": "inline"},
        "output": {"path": str(tmp_path / "out")},
        "stages": ["difficulty_features", "split_stages", {"keep_where": "stage < 3"}],
    }
    summary = run(Recipe.from_dict(data, "phases")).summary
    assert summary["by_reason"] == {"keep_where/keep_where": 30}, "the column `stage` of rejects is the stage's name"
