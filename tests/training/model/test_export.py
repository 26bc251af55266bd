"""Exported models: loadable, served, merged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from raylib.errors import TrainingError
from tests.training.setup import SHAPES, config, losses, quiet
from training.inference.generate import Generator
from training.inference.sampling import Sampling
from training.loop import Loop
from training.loop.launch import run
from training.model.export import export_model


def test_export_and_generate(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    run(config(tokens, tiny_model, tmp_path, steps=2), say=quiet)
    out = export_model(tmp_path / "run", tmp_path / "served", dtype="bf16")
    model = AutoModelForCausalLM.from_pretrained(out)
    assert next(model.parameters()).dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(out).chat_template
    with pytest.raises(TrainingError, match="it has final"):
        export_model(tmp_path / "run", tmp_path / "x", "best")
    made = Generator(str(tmp_path / "run" / "checkpoints" / "final"))
    asked = [[{"role": "user", "content": q}] for q in ("茶", "介绍一下老火车站的历史。", "花")]
    together = made.answer(asked, Sampling(max_new_tokens=8), batch=3)
    assert together == [made.answer([a], Sampling(max_new_tokens=8))[0] for a in asked], "batches change nothing"


@pytest.mark.slow
def test_lora_trains_little_and_is_merged(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    run(config(tokens, tiny_model, tmp_path / "base", steps=3), say=quiet)
    base = tmp_path / "base" / "run" / "checkpoints" / "final"
    made = config(
        tokens,
        tiny_model,
        tmp_path / "lora",
        steps=6,
        **{"model.path": str(base), "model.shape": {}, "model.lora_rank": 4, "optimizer.learning_rate": 1e-2},
    )
    loop = Loop(made, tmp_path / "lora" / "run", say=quiet)
    loop.run()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "lora" / "run" / "checkpoints" / "final")
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        adapted = loop.module.model.eval()(input_ids=ids).logits
        assert torch.allclose(merged(input_ids=ids).logits, adapted, atol=1e-4)
        assert not torch.allclose(AutoModelForCausalLM.from_pretrained(base)(input_ids=ids).logits, adapted, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen2", "mistral"])
def test_other_models_learn_and_are_exported(
    kind: str, tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    made = config(
        tokens, tiny_model, tmp_path, steps=12, **{"model.shape": SHAPES[kind], "optimizer.learning_rate": 5e-3}
    )
    loop = Loop(made, tmp_path / "run", say=quiet)
    loop.run()
    found = losses(tmp_path / "run")
    assert found[-1] < found[0] - 0.3
    exported, ids = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoints" / "final").eval(),
        torch.arange(5, 25)[None],
    )
    assert exported.config.model_type == kind
    with torch.no_grad():
        assert torch.allclose(exported(input_ids=ids).logits, loop.module.model.eval()(input_ids=ids).logits, atol=1e-5)
