"""Buckets by quantile within each language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from quality.scores.buckets import PerplexityBuckets
from tests.texts import ARTICLE, ENGLISH

Write = Callable[..., Path]


@pytest.mark.slow
def test_buckets_by_quantile_within_each_language(tmp_path: Path, write_jsonl: Write) -> None:
    rows = [{"id": f"z{i}", "text": f"{ARTICLE[i % 40 :]}第{i}篇", "perplexity": float(i + 1)} for i in range(300)]
    rows += [{"id": f"e{i}", "text": f"{ENGLISH} Number {i}.", "perplexity": 1000.0 + i} for i in range(300)]
    source = write_jsonl(rows)

    def add(table: pa.Table) -> pa.Table:
        import orjson

        meta = [orjson.loads(m) for m in table["meta"].to_pylist()]
        return table.append_column("perplexity", pa.array([m["perplexity"] for m in meta], pa.float64()))

    import raylib

    ds = raylib.read(source).map(add).stage("perplexity_buckets")
    table = ds.to_arrow().to_pylist()
    for prefix in "ze":
        part = sorted((r for r in table if r["id"].startswith(prefix)), key=lambda r: r["perplexity"])
        names = [r["bucket"] for r in part]
        assert names == sorted(names, key=["head", "middle", "tail"].index), "buckets follow perplexity"
        counts = [names.count(n) for n in ("head", "middle", "tail")]
        assert all(85 <= c <= 115 for c in counts), counts
    with pytest.raises(ValueError, match="buckets"):
        PerplexityBuckets(quantiles=(0.5,), names=("a", "b", "c"))
