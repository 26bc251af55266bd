"""Evaluation of a model: perplexity by source, and for preferences reward accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from training.data.rows import rows_of
from training.loop.evaluation import evaluate_rows
from training.model.world import World

__all__ = ["evaluate_model"]


def evaluate_model(model: str, tokens: Sequence[str], *, length: int = 2048, micro: int = 8, device: str = "auto") -> dict[str, float]:  # fmt: skip
    """Perplexity of a saved model on token folders."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from training.objectives import Scorer

    world = World()
    if device != "auto":
        world.device = torch.device(device)
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, local_files_only=True, trust_remote_code=False, dtype=torch.float32 if world.device.type == "cpu" else torch.bfloat16)  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    module = Scorer(loaded.to(world.device))
    rows = rows_of([str(Path(t)) for t in tokens], length, packing=False)
    return evaluate_rows(module, module, rows, world=world, micro=micro, pad=pad)
