"""Tiny shapes, tokens, configurations and steps that the training tests share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from tests.texts import ARTICLE, CLASSICAL, ENGLISH, POEM, conversations
from training.config import ModelConfig, TrainConfig
from training.data.batches import BatchShape, micro_batches
from training.data.encoded import TokenOptions
from training.data.rows import Row, rows_of
from training.data.tokenizer import Tokenizer
from training.data.tokens import tokenize
from training.model.build import build_model
from training.objectives import Objective, Scorer

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", **_SIZES},
    "qwen2": {"model_type": "qwen2", **_SIZES, "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", **_SIZES, "sliding_window": None},
    "qwen3": {"model_type": "qwen3", **_SIZES, "head_dim": 16, "max_position_embeddings": 2048},
}
CHAT = [
    {"role": "system", "content": "你是茶艺师。"},
    {"role": "user", "content": "绿茶怎么泡？"},
    {"role": "assistant", "content": "水不宜太烫。"},
    {"role": "user", "content": "为什么？"},
    {"role": "assistant", "content": "怕苦。"},
]


def quiet(*_: Any) -> None:
    """Say nothing."""


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return str(path)


def pairs(n: int) -> list[dict[str, Any]]:
    """Preferences that are easy to learn: the chosen answer is the fitting one."""
    made = conversations(n, seed=3)
    return [
        {
            "id": c["id"],
            "source": "pairs",
            "prompt": c["messages"][:1],
            "chosen": c["messages"][1]["content"],
            "rejected": f"不知道。{made[(i * 7 + 3) % n]['messages'][0]['content']}",
        }
        for i, c in enumerate(made)
    ]


def token_sets(folder: Path, tokenizer: Path) -> dict[str, str]:
    """Token folders of documents, conversations and preferences."""
    texts = [ARTICLE, ENGLISH, CLASSICAL, POEM] * 8
    documents = [{"id": f"d{i}", "source": "text", "text": t[i % 17 :]} for i, t in enumerate(texts)]
    made = {
        "pretrain": write(folder / "documents.jsonl", documents),
        "sft": write(folder / "chats.jsonl", conversations(60)),
        "preference": write(folder / "pairs.jsonl", pairs(24)),
    }
    for name, path in made.items():
        tokenize([path], folder / name, str(tokenizer), TokenOptions(max_tokens=120, max_prompt=60))
    return {name: str(folder / name) for name in made}


def config(tokens: dict[str, str], tokenizer: Path, out: Path, **changes: Any) -> TrainConfig:
    """A small run; dotted keys change it."""
    objective = changes.pop("objective", "sft")
    kind = "preference" if objective == "dpo" else "pretrain" if objective == "pretrain" else "sft"
    data = {
        "objective": objective,
        "output": str(out),
        "name": "run",
        "batch": 4,
        "micro_batch": 2,
        "steps": 4,
        "evaluate_every": 1000,
        "save_every": 1000,
        "model": {"shape": SHAPES["llama"], "tokenizer": str(tokenizer), "dtype": "fp32"},
        "data": {"train": [{"path": tokens[kind]}], "sequence_length": 128},
        "optimizer": {"learning_rate": 1e-3},
        "parallel": {"backend": "plain"},
    }
    return TrainConfig.from_dict(data, "test", changes)


def losses(folder: Path) -> list[float]:
    """Losses of all logged steps."""
    return [m["loss"] for m in metrics(folder)]


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Metrics of all logged steps; of a step that was done again after a resume, the last."""
    found = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        if "loss" in record:
            found[record.get("phase", ""), record["step"]] = record
    return list(found.values())


def scorer_of(tiny_model: Path, tokenizer: Tokenizer, kind: str = "llama", **options: Any) -> Scorer:
    """A tiny model with new weights."""
    config = ModelConfig(shape=SHAPES[kind], tokenizer=str(tiny_model), dtype="fp32", **options)
    return Scorer(build_model(config, tokenizer, 0))


def sft_rows(tokens: dict[str, str], n: int, packing: bool = False) -> list[Row]:
    """The first rows of conversations."""
    (source,) = rows_of([tokens["sft"]], 128, packing=packing)
    return [source.row(i) for i in range(n)]


def preference_rows(tokens: dict[str, str], n: int) -> list[Row]:
    """The first rows of preferences."""
    (source,) = rows_of([tokens["preference"]], 128, packing=True)
    return [source.row(i) for i in range(n)]


def gradients(scorer: Scorer) -> torch.Tensor:
    """All gradients as one vector."""
    return torch.cat([p.grad.flatten() for p in scorer.parameters() if p.grad is not None])


def run_step(
    scorer: Scorer, objective: Objective, rows: list[Row], micro: int, world: int = 1
) -> tuple[float, torch.Tensor]:
    """A whole optimizer step's loss and gradient, over micro-batches and (one after the other) workers."""
    scorer.zero_grad()
    keys = [(r.source, i) for i, r in enumerate(rows)]
    counts = objective.counts(rows)
    total = 0.0
    accumulation = math.ceil(math.ceil(len(rows) / world) / micro)
    shape = BatchShape(micro=micro, accumulation=accumulation, pad=0, pairs=objective.pairs)
    for rank in range(world):
        for batch in micro_batches(rows, keys, shape, rank=rank, world=world):
            loss, _ = objective.loss(scorer, batch, counts)
            loss.backward()
            total += float(loss.detach())
    return total, gradients(scorer)
