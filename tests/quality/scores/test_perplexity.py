"""Perplexity equals that of plain transformers, also in a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from quality.models.ngram import CharacterNgram
from quality.scores.perplexity import Perplexity
from raylib.engine import run
from raylib.recipe import Recipe
from tests.quality.scores.reference import reference_loss
from tests.texts import ARTICLE, CLASSICAL, ENGLISH, POEM

Write = Callable[..., Path]


def strings(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def test_perplexity_equals_transformers(tiny_model: Path, records: list[dict[str, Any]]) -> None:
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_model).eval(),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    documents = pa.table({"id": ["a", "b", "c"], "text": pa.array([ARTICLE, ENGLISH, ""], pa.large_string())})
    got = Perplexity(str(tiny_model), max_tokens=50)(documents).kept["perplexity"].to_pylist()
    for text, value in zip([ARTICLE, ENGLISH], got, strict=False):
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]][:50]
        with torch.no_grad():
            assert value == pytest.approx(math.exp(reference_loss(model, ids, 1)), rel=1e-4)
    assert got[2] is None


def test_perplexity_in_a_recipe(tmp_path: Path, write_jsonl: Write) -> None:
    model = CharacterNgram(4)
    model.add(strings([ARTICLE, CLASSICAL, POEM] * 5))
    model.save(str(tmp_path / "model.arrow"))
    source = write_jsonl([{"id": "good", "text": ARTICLE[30:90]}, {"id": "bad", "text": ARTICLE[30:90][::-1]}])
    data = {
        "input": {"path": str(source)},
        "output": {"path": str(tmp_path / "out"), "format": "jsonl"},
        "engine": {"mode": "inline"},
        "stages": [{"perplexity": {"model": str(tmp_path / "model.arrow")}}, {"keep_where": "perplexity < 50"}],
    }
    summary = run(Recipe.from_dict(data, "test")).summary
    assert (summary["records_kept"], summary["records_rejected"]) == (1, 1)
    assert summary["columns"]["perplexity"]["scored"]
