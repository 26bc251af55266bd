"""Operations of a step."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from training.model.cost import matmul_parameters, model_flops


def test_flops_of_llama_7b() -> None:
    config = AutoConfig.for_model(
        "llama",
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        vocab_size=32000,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert matmul_parameters(model) == 6_607_077_376
    assert model_flops(model, 2048) / 1e9 == pytest.approx(42.87, abs=0.01)
    assert model_flops(model, 2048, causal=True) / 1e9 == pytest.approx(41.25, abs=0.01)
