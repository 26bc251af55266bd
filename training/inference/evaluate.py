"""Evaluation of a saved model: perplexity by source, and accuracy on preferences."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

from raylib.model_folders import loaded, model_folder
from training.data.rows import rows_of
from training.data.taught import taught_by
from training.data.tokenizer import pad_id, saved_tokenizer
from training.loop.evaluation import evaluate_rows
from training.model.world import World
from training.objectives import Scorer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["evaluate_model"]

_log = logging.getLogger("raylib")


def evaluate_model(
    model: str, tokens: Sequence[str], *, length: int = 2048, micro: int = 8, device: str = "auto"
) -> dict[str, float]:
    """Evaluate a saved model on token folders.

    Args:
        model: Path of the model's folder.
        tokens: Token folders.
        length: Number of tokens of a row; longer samples are cut.
        micro: Number of rows of a pass.
        device: Device, such as `cpu` or `cuda:1`; `auto` uses a GPU if there is one.

    Returns:
        `loss` and `perplexity`, `perplexity/FOLDER` of each of several folders, and `accuracy` on preferences.

    Raises:
        TrainingError: if a folder is not a token folder.
    """
    world = World()
    if device != "auto":
        world.device = torch.device(device)
    dtype = torch.float32 if world.device.type == "cpu" else torch.bfloat16
    place = model_folder(model, "model")
    saved: PreTrainedModel = loaded(
        lambda: transformers.AutoModelForCausalLM.from_pretrained(
            place, local_files_only=True, trust_remote_code=False, dtype=dtype
        ),
        place,
        "model",
    )
    module = Scorer(saved).to(world.device)
    rows = rows_of([str(Path(t)) for t in tokens], length, packing=False)
    tokenizer = saved_tokenizer(model)
    pad = pad_id(tokenizer)
    taught = taught_by([str(Path(t)) for t in tokens])
    if taught is not None and tokenizer.chat_template not in (None, taught.template):
        _log.warning(
            "%s and these tokens have different chat templates: the model is not asked as it was taught", model
        )
    return evaluate_rows(module, module, rows, world=world, micro=micro, pad=pad).metrics()
