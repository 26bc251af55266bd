"""Weights as a Hugging Face folder that `AutoModelForCausalLM` loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raylib.errors import TrainingError

__all__ = ["export_model", "model_writer", "write_model"]


def write_model(model: Any, weights: Mapping[str, Tensor], tokenizer: Any, folder: Path) -> None:
    """Write safetensors, configuration, tokenizer and chat template; see `model_writer`."""
    model_writer(model, weights, tokenizer)(folder)


def model_writer(model: Any, weights: Mapping[str, Tensor], tokenizer: Any) -> Callable[[Path], None]:
    """A function that writes the model to a folder; LoRA weights are merged into the others.

    It needs nothing that training changes, so a thread can call it later, if `weights` are a copy.

    model: the module that is trained, for its configuration and, with LoRA, its adapters' places; its own weights may
    be anywhere (ZeRO-3). weights: all of its weights by name. Raises TrainingError when a weight is missing or empty.
    """
    from transformers import AutoModelForCausalLM

    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    empty = [n for n, w in weights.items() if w.numel() == 0]
    if empty:
        raise TrainingError(f"weights without content: {', '.join(empty[:3])}; they were not gathered")
    dtype = next(w.dtype for w in weights.values() if w.is_floating_point())
    with torch.device("meta"):  # no draw of random numbers, which training would miss, and no time
        fresh = AutoModelForCausalLM.from_config(base.config, dtype=dtype)
    rows = base.config.get_text_config().vocab_size
    if fresh.get_input_embeddings().weight.shape[0] != rows:
        fresh.resize_token_embeddings(rows, mean_resizing=False)
    if hasattr(model, "peft_config"):
        fresh = _merged(model, weights, fresh)
    else:
        missing, unexpected = fresh.load_state_dict(dict(weights), strict=False, assign=True)
        tied = set(getattr(fresh, "_tied_weights_keys", None) or [])
        lost = [m for m in missing if m not in tied and not any(m.endswith(t) for t in tied)]
        if lost or unexpected:
            raise TrainingError(f"weights do not fit the model: missing {lost[:3]}, unexpected {list(unexpected)[:3]}")
        fresh.tie_weights()
    fresh.config.use_cache = True

    def write(folder: Path) -> None:
        fresh.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return write


def _merged(model: Any, weights: Mapping[str, Tensor], fresh: Any) -> Any:
    from peft import get_peft_model

    with torch.device("meta"):
        adapted = get_peft_model(fresh, next(iter(model.peft_config.values())))
    adapted.load_state_dict(dict(weights), strict=False, assign=True)
    return adapted.merge_and_unload()


def export_model(run: str | Path, out: str | Path, which: str = "final", dtype: str = "bf16") -> Path:
    """Copy `best`, `final` or another model of a run to a folder of its own, in a dtype for serving.

    Raises TrainingError when the run has no such model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(run) / "checkpoints" / which
    if not (folder / "config.json").is_file():
        held = sorted(p.name for p in (Path(run) / "checkpoints").glob("*") if (p / "config.json").is_file())
        raise TrainingError(f"{run} has no model {which!r}; it has {', '.join(held) or 'none'}")
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    if dtype not in kinds:
        raise TrainingError(f"dtype {dtype!r}: bf16, fp16 or fp32")
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=kinds[dtype])
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, local_files_only=True).save_pretrained(out)
    return Path(out)
