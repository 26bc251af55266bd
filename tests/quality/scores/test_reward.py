"""Rewards and Deita's scores equal the computation of one record at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from quality.scores.reward import Deita, RewardModel
from tests.quality.rows import conversation_table


@pytest.mark.slow
def test_reward_equals_one_record_at_a_time(reward_path: Path, records: list[dict[str, Any]]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(reward_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(reward_path)
    got = RewardModel(str(reward_path), batch_tokens=500)(conversation_table(records)).kept["reward"].to_pylist()
    for value, record in zip(got, records, strict=True):
        if not record["messages"][-1]["content"]:
            assert value is None
            continue
        text = tokenizer.apply_chat_template(record["messages"], tokenize=False)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][-2048:]
        with torch.no_grad():
            assert value == pytest.approx(float(model(input_ids=torch.tensor([ids])).logits[0, 0]), abs=1e-4)


@pytest.mark.parametrize("of", ["quality", "complexity"])
def test_deita_is_the_expectation_over_six_digits(tiny_model: Path, records: list[dict[str, Any]], of: Any) -> None:
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_model).eval(),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    prompt = "问：{instruction}\n答：{response}\n分数：" if of == "quality" else "问：{instruction}\n难度："
    got = Deita(str(tiny_model), of=of, prompt=prompt)(conversation_table(records[:6])).kept[of].to_pylist()
    digits = [tokenizer(str(d), add_special_tokens=False)["input_ids"][-1] for d in range(1, 7)]
    for value, record in zip(got, records, strict=False):
        asked = "\n".join(m["content"] for m in record["messages"][:-1] if m["role"] != "assistant")
        if not asked:
            assert value is None
            continue
        text = prompt.replace("{instruction}", asked).replace("{response}", record["messages"][-1]["content"])
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        with torch.no_grad():
            p = torch.softmax(model(input_ids=torch.tensor([ids])).logits[0, -1, digits].double(), 0)
        assert value == pytest.approx(float(p @ torch.arange(1.0, 7.0, dtype=torch.float64)), abs=1e-3)
        assert 1 <= value <= 6
