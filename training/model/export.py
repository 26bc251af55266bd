"""Weights as a Hugging Face folder that `AutoModelForCausalLM` loads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from torch import Tensor

from raylib.errors import TrainingError
from raylib.extras import optional
from raylib.model_folders import loaded, model_folder
from raylib.outputs import output_folder
from training.data.tokenizer import Tokenizer, saved_tokenizer
from training.objectives.language_model import embedding_weight, without_adapter

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

__all__ = ["export_model", "model_writer"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def model_writer(
    model: PreTrainedModel, weights: Mapping[str, Tensor], tokenizer: Tokenizer, stops: Sequence[int] = ()
) -> Callable[[Path], None]:
    """Make a function that writes a model to a folder; LoRA weights are merged into the others.

    The function uses nothing that training changes, so a thread can call it later, provided that `weights` are a copy.

    Args:
        model: The module that is trained, for its configuration and the places of its adapters. Its own weights may be
            elsewhere (ZeRO-3).
        weights: All of its weights by name.
        tokenizer: The tokenizer, which is written beside the model.
        stops: Ids of the tokens that end answers, beside those of the model that the training began with.

    Returns:
        A function of the folder.

    Raises:
        TrainingError: if a weight is missing or empty.
    """
    base = without_adapter(model)
    empty = [n for n, w in weights.items() if w.numel() == 0]
    if empty:
        raise TrainingError(f"weights without content: {', '.join(empty[:3])}; they were not gathered")
    dtype = next(w.dtype for w in weights.values() if w.is_floating_point())
    with torch.device("meta"):  # takes no time, and no random numbers that training would miss
        fresh: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(base.config, dtype=dtype)
    rows = base.config.get_text_config().vocab_size
    if len(embedding_weight(fresh.get_input_embeddings())) != rows:
        fresh.resize_token_embeddings(rows, mean_resizing=False)
    if hasattr(model, "peft_config"):
        fresh = _merged(model, weights, fresh)
    else:
        _fill(fresh, weights)
    fresh.config.use_cache = True
    fresh.generation_config = _generation(base, stops)

    def write(folder: Path) -> None:
        fresh.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return write


def _generation(base: PreTrainedModel, stops: Sequence[int]) -> GenerationConfig:
    """How the model generates: as the one that the training began with, with a cache, and until an answer ends."""
    found: GenerationConfig | None = base.generation_config
    made = transformers.GenerationConfig() if found is None else copy.deepcopy(found)
    made.use_cache = True
    known = made.eos_token_id
    ids = known if isinstance(known, list) else [] if known is None else [known]
    ends = [*stops, *(i for i in ids if i not in stops)]
    made.eos_token_id = ends if len(ends) > 1 else ends[0] if ends else None
    if not made.do_sample and any(getattr(made, name, None) is not None for name in ("temperature", "top_p", "top_k")):
        made.do_sample = True  # transformers refuses to save these without it, though models are published so
    return made


def _fill(fresh: PreTrainedModel, weights: Mapping[str, Tensor]) -> None:
    """Give a model its weights. Raises TrainingError if some are missing or do not belong to it."""
    missing, unexpected = fresh.load_state_dict(dict(weights), strict=False, assign=True)
    tied = set(getattr(fresh, "_tied_weights_keys", None) or [])
    lost = [m for m in missing if m not in tied and not any(m.endswith(t) for t in tied)]
    if lost or unexpected:
        raise TrainingError(f"weights do not fit the model: missing {lost[:3]}, unexpected {list(unexpected)[:3]}")
    fresh.tie_weights()


def _merged(model: PreTrainedModel, weights: Mapping[str, Tensor], fresh: PreTrainedModel) -> PreTrainedModel:
    """A model with the adapters' weights merged into its own."""
    peft = optional("peft", purpose="a model with adapters")
    with torch.device("meta"):
        adapted = peft.get_peft_model(fresh, next(iter(model.peft_config.values())))
    adapted.load_state_dict(dict(weights), strict=False, assign=True)
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged


def export_model(run: str | Path, out: str | Path, which: str = "final", dtype: str = "bf16") -> Path:
    """Copy a model of a run to a folder of its own, in a data type for serving.

    Args:
        run: Folder of the run.
        out: Folder to write.
        which: Name of the model: `best`, `final` or `final-PHASE`.
        dtype: Data type of the weights: bf16, fp16 or fp32.

    Returns:
        The folder that was written.

    Raises:
        TrainingError: if the run has no such model, or if there is no such data type.
    """
    if dtype not in _DTYPES:
        raise TrainingError(f"--dtype {dtype!r}: valid are bf16, fp16 and fp32")
    if not (Path(run) / "checkpoints").is_dir():
        raise TrainingError(f"{str(run)!r} is not the folder of a training run (it has no checkpoints)")
    output_folder(out)
    folder = Path(run) / "checkpoints" / which
    if not (folder / "config.json").is_file():
        held = sorted(p.name for p in (Path(run) / "checkpoints").glob("*") if (p / "config.json").is_file())
        raise TrainingError(f"{run} has no model {which!r}; it has {', '.join(held) or 'none'}")
    model = loaded(
        lambda: transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=_DTYPES[dtype]
        ),
        model_folder(str(folder), "RUN"),
        "RUN",
    )
    model.save_pretrained(out)
    saved_tokenizer(folder).save_pretrained(out)
    return Path(out)
