"""Floating-point operations of a training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["matmul_parameters", "model_flops"]


def matmul_parameters(model: nn.Module) -> int:
    """Number of weights that every token is multiplied with: all but those of input embeddings and of vectors.

    A tied output embedding counts once, for the output.
    """
    return sum(
        int(getattr(module.weight, "ds_numel", module.weight.numel()))  # ZeRO-3 leaves weights empty between uses
        for module in model.modules()
        if isinstance(module, torch.nn.Linear)
    )


def model_flops(model: PreTrainedModel, sequence_length: int, *, causal: bool = False) -> float:
    """Operations per trained token, forward and backward: 6 N_mm + 12 L H S.

    N_mm is `matmul_parameters`, L the number of layers, H heads x head size, S the sequence length. Recomputation is
    not counted. Source: Chowdhery et al., "PaLM", appendix B, without its embedding term.

    Args:
        model: The model.
        sequence_length: Number of tokens of a sequence.
        causal: Whether to count half of the attention term, as a causal kernel computes it.
    """
    config = model.config.get_text_config()
    heads = int(config.num_attention_heads)
    width = heads * int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    attention = 12.0 * int(config.num_hidden_layers) * width * sequence_length
    return 6.0 * matmul_parameters(model) + (attention / 2 if causal else attention)
