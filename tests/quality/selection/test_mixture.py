"""Mixtures of domains, and resampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from quality.selection.mixture import Resample, mixture_of
from raylib.engine import run
from raylib.recipe import Recipe
from raylib.records import Unread, tables_of
from tests.texts import ARTICLE

Write = Callable[..., Path]


def resample_recipe(source: Path, out: Path, **stage: Any) -> Recipe:
    return Recipe.from_dict(
        {
            "input": {"path": str(source)},
            "output": {"path": str(out)},
            "engine": {"mode": "inline", "batch_mb": 0.02},
            "stages": [{"resample": stage}],
        }
    )


def test_resampling_reaches_the_target_mixture(tmp_path: Path, write_jsonl: Write) -> None:
    rows = [
        {"id": f"{i}", "source": "forum" if i % 5 else "wiki", "text": f"{ARTICLE[: 60 + i % 50]}{i}"}
        for i in range(1000)
    ]
    rows += [{"id": f"x{i}", "source": "other", "text": ARTICLE} for i in range(20)]
    source = write_jsonl(rows)
    out = tmp_path / "out"
    summary = run(resample_recipe(source, out, target={"wiki": 0.5, "forum": 0.5}, max_copies=2.5)).summary
    kept = pq.read_table(out / "kept")
    assert summary["records_added"] > 0
    assert summary["records_in"] + summary["records_added"] == summary["records_kept"] + summary["records_rejected"]
    mixture = mixture_of([kept], "source")
    total = sum(m["characters"] for m in mixture.values())
    assert mixture["wiki"]["characters"] / total == pytest.approx(0.5, abs=0.04)
    assert "other" not in mixture
    ids = kept["id"].to_pylist()
    assert len(set(ids)) == len(ids), "copies have ids of their own"
    assert any(i.endswith("#3") for i in ids)
    assert not any(i.endswith("#4") for i in ids)
    again = run(resample_recipe(source, tmp_path / "again", target={"forum": 0.5, "wiki": 0.5}, max_copies=2.5)).summary
    assert again["records_kept"] == summary["records_kept"]
    for name, words in (("target", {"target": {}}), ("unit", {"target": {"a": 1.0}, "unit": "pages"})):
        with pytest.raises(Exception, match=name):
            resample_recipe(source, out, **words)


def test_resampling_factors() -> None:
    stage = Resample({"a": 1.0, "b": 1.0}, max_copies=3, unit="documents")
    assert stage.factors({"a": 100, "b": 900}) == {"a": 3.0, "b": pytest.approx(1 / 3)}
    exact = Resample({"a": 3.0, "b": 1.0}, records=400, unit="documents", max_copies=10)
    assert exact.factors({"a": 100, "b": 100, "c": 5}) == {"a": 3.0, "b": 1.0, "c": 0.0}
    with pytest.raises(ValueError, match="no record has a domain"):
        stage.factors({"z": 5})


def test_mixture_counts_tokens(write_jsonl: Write, tiny_model: Path) -> None:
    from tokenizers import Tokenizer

    from raylib.token_counts import load_tokenizer

    tokenizer = load_tokenizer(str(tiny_model))
    source = write_jsonl([{"id": "1", "source": "a", "text": ARTICLE}, {"id": "2", "source": "b", "text": "茶"}])
    found = mixture_of(tables_of(str(source), rejected=Unread()), "source", tokenizer)
    oracle = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    assert found["a"]["tokens"] == len(oracle.encode(ARTICLE, add_special_tokens=False).ids)
