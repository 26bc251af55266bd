"""Evaluation of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.setup import SHAPES, config, metrics, quiet
from training.data.rows import rows_of
from training.inference.evaluate import evaluate_model
from training.loop.launch import run


@pytest.mark.slow
def test_evaluation_is_independent_of_batches_and_restores_the_mode(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    run(config(tokens, tiny_model, tmp_path, steps=2), say=quiet)
    model = str(tmp_path / "run" / "checkpoints" / "final")
    found = [evaluate_model(model, [tokens["sft"], tokens["pretrain"]], length=128, micro=m) for m in (1, 3, 16)]
    assert all(f["perplexity"] == pytest.approx(found[0]["perplexity"], rel=1e-5) for f in found)
    loaded, total, count = AutoModelForCausalLM.from_pretrained(model), 0.0, 0
    for source in rows_of([tokens["sft"], tokens["pretrain"]], 128, packing=False):
        for i in range(source.count):
            for ids, targets in zip(source.row(i).ids, source.row(i).targets, strict=True):
                labels = torch.where(torch.tensor(targets[None] == 1), torch.tensor(ids.astype(np.int64)[None]), -100)
                n = int((labels[:, 1:] != -100).sum())
                if n:
                    with torch.no_grad():
                        total += n * float(
                            loaded(input_ids=torch.tensor(ids.astype(np.int64)[None]), labels=labels).loss
                        )
                    count += n
    assert found[0]["loss"] == pytest.approx(total / count, rel=1e-4)

    plain = metrics(tmp_path / "run")
    seen = run(
        config(
            tokens,
            tiny_model,
            tmp_path / "evaluated",
            steps=2,
            **{
                "data.evaluation": [{"path": tokens["pretrain"]}],
                "evaluate_every": 1,
                "model.shape": {**SHAPES["llama"], "attention_dropout": 0.0},
            },
        ),
        say=quiet,
    )
    assert seen.metrics["loss"] == plain[-1]["loss"], "evaluating between steps changes nothing"
