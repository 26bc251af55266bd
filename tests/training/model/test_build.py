"""Building models: vocabulary, trained parts, groups of parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from raylib.errors import TrainingError
from tests.training.setup import scorer_of
from training.config import ModelConfig
from training.data.tokenizer import Tokenizer
from training.model.build import build_model, parameter_groups
from training.objectives.language_model import embedding_weight


def test_vocabulary_is_extended_with_means_and_never_shrunk(
    tiny_model: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    padded = scorer_of(tiny_model, tokenizer).model
    padded.resize_token_embeddings(len(tokenizer) + 24)
    padded.save_pretrained(tmp_path / "padded")
    kept = build_model(ModelConfig(path=str(tmp_path / "padded"), dtype="fp32"), tokenizer, 0)
    assert len(embedding_weight(kept.get_input_embeddings())) == len(tokenizer) + 24
    larger: Any = AutoTokenizer.from_pretrained(tiny_model)
    larger.add_tokens([f"<extra{i}>" for i in range(40)])
    with pytest.raises(TrainingError, match="extend_vocabulary"):
        build_model(ModelConfig(path=str(tmp_path / "padded"), dtype="fp32"), larger, 0)
    grown = build_model(ModelConfig(path=str(tmp_path / "padded"), dtype="fp32", extend_vocabulary=True), larger, 0)
    weight = embedding_weight(grown.get_input_embeddings())
    assert weight.shape[0] == len(larger)
    assert torch.allclose(weight[-1], weight[: len(tokenizer) + 24].mean(dim=0), atol=1e-6)


def test_embeddings_alone_and_parameter_groups(tiny_model: Path, tokenizer: Tokenizer) -> None:
    scorer = scorer_of(tiny_model, tokenizer, train="embeddings")
    trained = [n for n, p in scorer.named_parameters() if p.requires_grad]
    assert all("embed" in n or "lm_head" in n for n in trained)
    assert trained
    whole = scorer_of(tiny_model, tokenizer)
    groups = parameter_groups(whole, 0.1, 1)
    assert sum(len(g["params"]) for g in groups) == len(list(whole.parameters()))
    assert all(p.ndim < 2 for g in groups if g["weight_decay"] == 0 for p in g["params"])
    assert len(groups) >= 5, "groups of a layer each, with and without decay"
