"""IFD equals the computation of one record at a time, with plain transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from quality.scores.ifd import Ifd
from tests.quality.rows import conversation_table
from tests.quality.scores.reference import reference_loss


@pytest.mark.slow
def test_ifd_equals_the_single_record_computation(tiny_model: Path, records: list[dict[str, Any]]) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    out = Ifd(str(tiny_model), batch_tokens=700)(conversation_table(records)).kept.to_pylist()
    assert [r["id"] for r in out] == [r["id"] for r in records]
    for row, record in zip(out, records, strict=True):
        *before, last = record["messages"]
        if not before or not last["content"]:
            assert row["ifd"] is None
            assert row["ifd_misaligned"] is None
            continue
        prompt = tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True)
        asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answer = tokenizer(last["content"], add_special_tokens=False)["input_ids"]
        bos = [tokenizer.bos_token_id]
        with torch.no_grad():
            given = reference_loss(model, bos + asked + answer, 1 + len(asked))
            alone = reference_loss(model, bos + answer, 1)
        assert row["ifd"] == pytest.approx(given / alone, abs=1e-4)
        assert row["ifd_loss"] == pytest.approx(given, abs=1e-4)
        assert row["ifd_misaligned"] == (given / alone >= 1)
        assert row["response_tokens"] == len(answer)


@pytest.mark.slow
def test_ifd_cuts_to_its_limit_and_does_not_depend_on_batches(tiny_model: Path, records: list[dict[str, Any]]) -> None:
    table = conversation_table(records)
    small, large = (Ifd(str(tiny_model), max_tokens=64, batch_tokens=b)(table).kept for b in (64, 4096))
    a, b = (np.array(t["ifd"].to_pylist(), float) for t in (small, large))
    assert np.allclose(a, b, atol=2e-5, equal_nan=True)
    assert np.isfinite(a[7]), "a long instruction is cut, not refused"
