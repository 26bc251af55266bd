"""Floating-point operations of a model's step."""

from __future__ import annotations

from typing import Any

__all__ = ["matmul_parameters", "model_flops"]


def matmul_parameters(model: Any) -> int:
    """Weights that every token is multiplied with: all but the look-up of input embeddings and vectors.

    A tied output embedding counts once, for the output.
    """
    import torch

    total = 0
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            total += int(getattr(module.weight, "ds_numel", module.weight.numel()))
    return total


def model_flops(model: Any, sequence_length: int, *, causal: bool = False) -> float:
    """FLOPs of a trained token, forward and backward: 6 N_mm + 12 L H S; half of the attention term when `causal`.

    N_mm: `matmul_parameters`; L layers; H heads x head size; S tokens of a sequence. Recomputation is not counted.
    Source: Chowdhery et al., "PaLM", appendix B, without its embedding term.
    """
    config = model.config.get_text_config()
    heads = int(config.num_attention_heads)
    width = heads * int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    attention = 12.0 * int(config.num_hidden_layers) * width * sequence_length
    return 6.0 * matmul_parameters(model) + (attention / 2 if causal else attention)
