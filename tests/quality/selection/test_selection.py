"""The stage `select` says why, and chooses the same for any cut of the input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import raylib
from tests.quality.rows import add_score, scored

Write = Callable[..., Path]


def test_select_top_says_why(write_jsonl: Write) -> None:
    ds = raylib.read(write_jsonl(scored())).map(add_score).select(k=50, by="score", diverse=False)
    kept = ds.to_arrow().to_pylist()
    assert [r["selected_rank"] for r in sorted(kept, key=lambda r: r["selected_rank"])] == list(range(1, 51))
    everything = sorted((r["score"] for r in scored() if r["score"] is not None), reverse=True)
    assert sorted((r["score"] for r in kept), reverse=True) == everything[:50]
    rejected = ds.rejected.to_pandas()
    assert len(rejected) == 190
    assert set(rejected["reason"]) == {"not_selected"}
    assert rejected["detail"].str.contains("score = ").all()
    with pytest.raises(raylib.RaylibError, match=r"fraction|k"):
        ds.stage("select", method="top", by="score")


@pytest.mark.parametrize("method", ["deita", "k_center", "quota"])
def test_select_is_the_same_for_any_cut_of_the_input(method: str, tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(scored())
    found = []
    for mb in (0.005, 4):
        ds = (
            raylib.read(source)
            .map(add_score)
            .stage("embed", dimensions=32)
            .stage("select", fraction=0.25, by="score", method=method)
        )
        ds = ds.on("inline", batch_mb=mb)
        kept = ds.to_arrow()
        assert len(kept) == 60
        found.append(set(kept["id"].to_pylist()) if method == "k_center" else len(kept))
        sections = json.loads((Path(ds.report).parent / "sections.json").read_text())
        metrics = next(b for b in sections["select"]["blocks"] if b["kind"] == "table")
        assert metrics["head"] == ["", "candidates", "selected", "random"]
        assert any(b["kind"] == "maps" and len(b["points"]) == 240 for b in sections["select"]["blocks"])
