"""Scores by models equal straightforward computations, one record at a time, with plain transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig

from quality.models.language_model import LanguageModel, Scored
from quality.scores.ifd import Ifd
from quality.scores.perplexity import Perplexity
from quality.scores.reward import Deita, RewardModel
from quality.text.turns import instruction_of, response_of, roles_of
from raylib.engine import run
from raylib.recipe import Recipe
from raylib.schema import SCHEMAS
from tests.texts import ARTICLE, ENGLISH, conversations

Write = Callable[..., Path]


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{"meta": None, **r} for r in rows], schema=SCHEMAS["conversation"])


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    rows = conversations(30)
    rows[3]["messages"][1]["content"] = ""
    rows[4]["messages"] = [{"role": "assistant", "content": "没有问题的回答。"}]
    rows[5]["messages"] = [{"role": "system", "content": "你是茶艺师。"}, *rows[5]["messages"], {"role": "user", "content": "再说一句。"}, {"role": "assistant", "content": "好。"}]  # fmt: skip
    rows[6]["messages"][1]["content"] = ENGLISH * 2
    rows[7]["messages"][0]["content"] = ARTICLE * 3
    return rows


def reference_loss(model: Any, ids: list[int], start: int) -> float:
    """Mean loss of ids[start:], by the model's own loss."""
    labels = [-100] * start + ids[start:]
    return float(model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss)


def test_ifd_equals_the_single_record_computation(tiny_model: Path, records: list[dict[str, Any]]) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    out = Ifd(str(tiny_model), batch_tokens=700)(table_of(records)).kept.to_pylist()
    assert [r["id"] for r in out] == [r["id"] for r in records]
    for row, record in zip(out, records, strict=True):
        *before, last = record["messages"]
        if not before or not last["content"]:
            assert row["ifd"] is None and row["ifd_misaligned"] is None
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


def test_ifd_cuts_to_its_limit_and_does_not_depend_on_batches(tiny_model: Path, records: list[dict[str, Any]]) -> None:
    table = table_of(records)
    small, large = (Ifd(str(tiny_model), max_tokens=64, batch_tokens=b)(table).kept for b in (64, 4096))
    a, b = (np.array(t["ifd"].to_pylist(), float) for t in (small, large))
    assert np.allclose(a, b, atol=2e-5, equal_nan=True)
    assert np.isfinite(a[7]), "a long instruction is cut, not refused"


def test_losses_count_only_targets(tiny_model: Path) -> None:
    scorer = LanguageModel.load(str(tiny_model))
    ids = scorer.encode([ARTICLE])[0][:40]
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    got = scorer.losses([Scored(ids, 30), Scored(ids, 0), Scored(ids[:1], 0), Scored([], 0)])
    with torch.no_grad():
        assert got[0] == pytest.approx(reference_loss(model, ids, 30), abs=1e-5)
        assert got[1] == pytest.approx(reference_loss(model, ids, 1), abs=1e-5)
    assert np.isnan(got[2:]).all()
    assert scorer.usage["tokens"] == 80


def test_perplexity_equals_transformers(tiny_model: Path, records: list[dict[str, Any]]) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model).eval(), AutoTokenizer.from_pretrained(tiny_model)  # fmt: skip
    documents = pa.table({"id": ["a", "b", "c"], "text": pa.array([ARTICLE, ENGLISH, ""], pa.large_string())})
    got = Perplexity(str(tiny_model), max_tokens=50)(documents).kept["perplexity"].to_pylist()
    for text, value in zip([ARTICLE, ENGLISH], got, strict=False):
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]][:50]
        with torch.no_grad():
            assert value == pytest.approx(math.exp(reference_loss(model, ids, 1)), rel=1e-4)
    assert got[2] is None


@pytest.fixture(scope="module")
def reward_path(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    config = LlamaConfig.from_pretrained(tiny_model, num_labels=1, pad_token_id=0)
    out = tmp_path_factory.mktemp("reward") / "model"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(out)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(out)
    return out


def test_reward_equals_one_record_at_a_time(reward_path: Path, records: list[dict[str, Any]]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(reward_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(reward_path)
    got = RewardModel(str(reward_path), batch_tokens=500)(table_of(records)).kept["reward"].to_pylist()
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
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model).eval(), AutoTokenizer.from_pretrained(tiny_model)  # fmt: skip
    prompt = "问：{instruction}\n答：{response}\n分数：" if of == "quality" else "问：{instruction}\n难度："
    got = Deita(str(tiny_model), of=of, prompt=prompt)(table_of(records[:6])).kept[of].to_pylist()
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


def test_wrong_models_are_named_before_any_work(tmp_path: Path, write_jsonl: Write, tiny_model: Path) -> None:
    from raylib.errors import RecipeError

    def recipe(stage: dict[str, Any]) -> Recipe:
        source = write_jsonl([{"messages": c["messages"]} for c in conversations(3)])
        return Recipe.from_dict({"input": {"path": str(source)}, "output": {"path": str(tmp_path / "out")}, "engine": {"mode": "inline"}, "stages": [stage]})  # fmt: skip

    for stage, words in (
        ({"ifd": {"model": "no/such/model"}}, "never downloaded"),
        ({"ifd": {"model": str(tmp_path)}}, "config.json"),
        ({"classify": {"model": "nothing"}}, "raylib classifier train"),
        ({"judge": {"model": "m", "base_url": ""}}, "OPENAI_BASE_URL"),
        ({"judge": {"model": "m", "base_url": "http://u:secret@h/v1"}}, "must not hold user"),
    ):
        with pytest.raises(RecipeError, match=words) as caught:
            run(recipe(stage))
        assert "secret" not in str(caught.value)
    with pytest.raises(RecipeError, match="modle"):
        recipe({"ifd": {"modle": str(tiny_model)}})


def test_turns() -> None:
    table = table_of(
        [
            {"id": "1", "source": "", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]},
            {"id": "2", "source": "", "messages": [{"role": "user", "content": "only"}]},
            {"id": "3", "source": "", "messages": []},
        ]
    )  # fmt: skip
    assert instruction_of(table).to_pylist() == ["s\na\nc", "only", ""]
    assert response_of(table).to_pylist() == ["d", "", ""]
    assert roles_of(table).to_pylist() == ["system user assistant user assistant", "user", ""]
    assert response_of(table.slice(1)).to_pylist() == ["", ""]
