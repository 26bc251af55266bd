"""From real conversations to answers with the real vocabulary and chat template of Qwen3, by a model of its shape."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner

from raylib.cli import app
from tests.training.data.chat_sets import chat_model
from tests.training.setup import losses, metrics, write
from training.data.token_set import TokenSet
from training.inference.generate import Generator

pytestmark = [pytest.mark.data, pytest.mark.long, pytest.mark.slow]
SHAPE = {
    "model_type": "qwen3",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
NO_THINKING = ("--template-option", "enable_thinking=false")
END = 151_645  # <|im_end|>
LENGTH = 128  # tokens of a sample


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qwen3")


@pytest.fixture(scope="module")
def qwen3(place: Path, real_data: Path) -> Path:
    """The real tokenizer with its template."""
    return chat_model(real_data, "Qwen3", place / "tokenizer")


def call(*arguments: str | Path) -> str:
    """A command, in this process."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return done.output


def records(data: Path, name: str, count: int) -> list[dict[str, Any]]:
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in islice(stream, count)]


def train(place: Path, name: str, tokens: Path, model: dict[str, Any], **settings: Any) -> Path:
    """Train, and give the folder of the run."""
    made = {
        "objective": "sft",
        "output": str(place / "runs"),
        "name": name,
        "batch": 2,
        "micro_batch": 2,
        "save_every": 1000,
        "evaluate_every": 1000,
        "model": {"dtype": "fp32", **model},
        "data": {"train": [{"path": str(tokens)}], "sequence_length": LENGTH},
        "parallel": {"backend": "plain"},
        **settings,
    }
    (place / f"{name}.yaml").write_text(yaml.safe_dump(made), "utf-8")
    call("train", place / f"{name}.yaml", "--mode", "here" if made["parallel"]["backend"] == "plain" else "local")
    return place / "runs" / name


@pytest.fixture(scope="module")
def talks(place: Path, real_data: Path, qwen3: Path) -> Path:
    """Tokens of counselling of many turns and of instructions."""
    for name in ("more/sft_counsel_multiturn_zh", "sft_alpaca_zh"):
        write(place / f"{Path(name).name}.jsonl", records(real_data, name, 150))
    files = [place / "sft_counsel_multiturn_zh.jsonl", place / "sft_alpaca_zh.jsonl"]
    said = call(
        "tokenize", *files, "-o", place / "talks", "--tokenizer", qwen3, "--max-tokens", str(LENGTH), *NO_THINKING
    )
    assert "conversations became several samples" in said
    return place / "talks"


@pytest.fixture(scope="module")
def tuned(place: Path, talks: Path, qwen3: Path) -> Path:
    """The run of fine-tuning."""
    model = {"shape": SHAPE, "tokenizer": str(qwen3)}
    return train(place, "sft", talks, model, steps=30, optimizer={"learning_rate": 5e-3})


def falls(found: list[float]) -> bool:
    third = len(found) // 3
    return sum(found[-third:]) < 0.9 * sum(found[:third])


def test_fine_tuning_learns_and_the_model_keeps_how_it_was_taught(tuned: Path, talks: Path) -> None:
    found = losses(tuned)
    assert found[0] == pytest.approx(math.log(151_669), rel=0.05)
    assert falls(found), found
    model = tuned / "checkpoints" / "final"
    assert (model / "chat_template.jinja").read_text("utf-8") == (talks / "chat_template.jinja").read_text("utf-8")
    assert json.loads((model / "generation_config.json").read_text("utf-8"))["eos_token_id"] in (END, [END])


def asks_as_taught(
    model: Path, tokens: Path, rows: list[dict[str, Any]], messages: Callable[[dict[str, Any]], Any]
) -> float:
    """Share of what a model is asked with which a sample of a token folder begins, of prompts too short to be cut."""
    renderer = Generator(str(model)).renderer
    folder = TokenSet(tokens)
    taught = set()
    for number in range(len(folder)):
        tokens_of, targets = folder.sequence(number)
        assert targets is not None
        assert tokens_of[-1] == END or len(tokens_of) == LENGTH
        taught.add(tuple(tokens_of[: int(targets.argmax())].tolist()))
    prompts = [tuple(renderer.prompt(messages(row))) for row in rows]
    asked = [ids for ids in prompts if len(ids) <= LENGTH // 4]
    assert len(asked) > 10
    return sum(ids in taught for ids in asked) / len(asked)


def test_the_model_is_asked_with_the_tokens_that_it_was_taught_with(tuned: Path, talks: Path, real_data: Path) -> None:
    def question(row: dict[str, Any]) -> list[dict[str, str]]:
        text = "\n".join(t for t in (row["instruction"], row["input"]) if t)
        return [{"role": "user", "content": text}]

    def opening(row: dict[str, Any]) -> list[dict[str, str]]:
        return [{"role": "user", "content": row["data"][0]}]

    model = tuned / "checkpoints" / "final"
    assert asks_as_taught(model, talks, records(real_data, "sft_alpaca_zh", 150), question) == 1
    assert asks_as_taught(model, talks, records(real_data, "more/sft_counsel_multiturn_zh", 150), opening) == 1


@pytest.fixture(scope="module")
def aligned(place: Path, tuned: Path, real_data: Path) -> Path:
    """The run of preferences, which continues the first."""
    model = tuned / "checkpoints" / "final"
    write(place / "dpo_zh.jsonl", records(real_data, "dpo_zh", 40))
    limits = ("--max-tokens", str(LENGTH), "--max-prompt", str(LENGTH // 2))
    said = call("tokenize", place / "dpo_zh.jsonl", "-o", place / "pairs", "--tokenizer", model, *limits)
    assert "(preference)" in said
    settings = {"objective": "dpo", "steps": 24, "optimizer": {"learning_rate": 5e-3}}
    return train(place, "dpo", place / "pairs", {"path": str(model)}, **settings)


def test_preferences_are_learnt(place: Path, aligned: Path) -> None:
    found = metrics(aligned)
    assert found[0]["loss"] == pytest.approx(math.log(2), rel=1e-3)
    last = found[-8:]
    assert sum(m["loss"] for m in last) / len(last) < 0.6
    assert sum(m["rewards/margins"] for m in last) > 0
    served = aligned / "checkpoints" / "final" / "chat_template.jinja"
    assert served.read_text("utf-8") == (place / "talks" / "chat_template.jinja").read_text("utf-8")


def test_a_memorised_answer_stops_at_the_end_of_the_turn(place: Path, tuned: Path, real_data: Path) -> None:
    model = tuned / "checkpoints" / "final"
    short = [r for r in records(real_data, "sft_alpaca_zh", 400) if len(r["output"]) < 25 and not r["input"]][:3]
    path = write(place / "short.jsonl", short)
    call("tokenize", path, "-o", place / "short", "--tokenizer", model)
    settings: dict[str, Any] = {
        "steps": 120,
        "batch": 3,
        "micro_batch": 3,
        "optimizer": {"learning_rate": 1e-2},
        "data": {"packing": False, "train": [{"path": str(place / "short")}], "sequence_length": LENGTH},
    }
    run = train(place, "short", place / "short", {"path": str(model)}, **settings)
    out = place / "answers.jsonl"
    call("generate", run / "checkpoints" / "final", path, "-o", out, "--max-new-tokens", "64")
    answers = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert [a["response"] for a in answers] == [r["output"] for r in short], "the answer, and nothing after it"


@pytest.mark.cluster
def test_two_workers_of_deepspeed_learn_the_same(place: Path, talks: Path, qwen3: Path) -> None:
    model = {"shape": SHAPE, "tokenizer": str(qwen3)}
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no"}
    settings = {"steps": 15, "micro_batch": 1, "optimizer": {"learning_rate": 5e-3}, "parallel": parallel}
    found = losses(train(place, "two", talks, model, **settings))
    assert found[0] == pytest.approx(math.log(151_669), rel=0.05)
    assert found[-1] < found[0] - 0.5, found
