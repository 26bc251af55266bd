"""Tiny tokenizers, tokens and configurations that the training tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.texts import ARTICLE, CLASSICAL, ENGLISH, POEM, conversations
from training.config import TrainConfig
from training.data.tokens import TokenOptions, tokenize

SHAPES = {
    "llama": {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256},
    "qwen2": {"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "sliding_window": None},
}  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return str(path)


def pairs(n: int) -> list[dict[str, Any]]:
    """Preferences that are easy to learn: the chosen answer is the fitting one."""
    made = conversations(n, seed=3)
    return [
        {"id": c["id"], "source": "pairs", "prompt": c["messages"][:1], "chosen": c["messages"][1]["content"], "rejected": f"不知道。{made[(i * 7 + 3) % n]['messages'][0]['content']}"}
        for i, c in enumerate(made)
    ]  # fmt: skip


def token_sets(folder: Path, tokenizer: Path) -> dict[str, str]:
    """Token folders of documents, conversations and preferences."""
    documents = [{"id": f"d{i}", "source": "text", "text": t[i % 17 :]} for i, t in enumerate([ARTICLE, ENGLISH, CLASSICAL, POEM] * 8)]  # fmt: skip
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
        "objective": objective, "output": str(out), "name": "run", "batch": 4, "micro_batch": 2, "steps": 4,
        "evaluate_every": 1000, "save_every": 1000,
        "model": {"shape": SHAPES["llama"], "tokenizer": str(tokenizer), "dtype": "fp32"},
        "data": {"train": [{"path": tokens[kind]}], "sequence_length": 128},
        "optimizer": {"learning_rate": 1e-3}, "parallel": {"backend": "plain"},
    }  # fmt: skip
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
