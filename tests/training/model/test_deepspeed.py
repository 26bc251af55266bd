"""DeepSpeed against plain PyTorch, over ZeRO stages and numbers of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.setup import config, losses, metrics, quiet
from training.loop.launch import run


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, *(pytest.param(stage, marks=pytest.mark.long) for stage in (1, 2)), 3])
def test_zero_stages_equal_plain_pytorch(stage: int, tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"steps": 5, "data.evaluation": [{"path": tokens["pretrain"]}], "evaluate_every": 5}
    run(config(tokens, tiny_model, tmp_path / "plain", **changes), say=quiet)
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": stage}
    run(config(tokens, tiny_model, tmp_path / "zero", micro_batch=1, parallel=parallel, **changes), mode="local")
    ours, plain = metrics(tmp_path / "zero" / "run"), metrics(tmp_path / "plain" / "run")
    for a, b in zip(ours, plain, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-4)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3), "whatever the number of micro-batches"
        assert a["tokens"] == b["tokens"]
    x, y = (
        AutoModelForCausalLM.from_pretrained(tmp_path / n / "run" / "checkpoints" / "final", dtype=torch.float32)
        for n in ("zero", "plain")
    )
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        assert torch.allclose(x(input_ids=ids).logits, y(input_ids=ids).logits, atol=2e-3 if stage == 3 else 1e-4)


@pytest.mark.slow
def test_small_updates_reach_the_float32_weights_under_bf16(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    made = config(
        tokens,
        tiny_model,
        tmp_path,
        steps=2,
        save_every=1,
        micro_batch=2,
        parallel={"backend": "deepspeed", "zero_stage": 2},
        **{
            "model.dtype": "bf16",
            "optimizer.learning_rate": 1e-6,
            "optimizer.schedule": "constant",
            "optimizer.warmup": 0,
        },
    )
    run(made, mode="local")
    found = []
    for step in (1, 2):
        folder = tmp_path / "run" / "checkpoints" / f"step-{step}" / "deepspeed"
        (states,) = folder.glob("*optim_states.pt")
        held = torch.load(states, weights_only=False)["optimizer_state_dict"]["single_partition_of_fp32_groups"]
        (weights,) = folder.glob("mp_rank_*.pt")
        found.append((torch.cat(list(held)), torch.load(weights, weights_only=False)["module"]))
    (master, weights), (later, weights_later) = found
    assert master.dtype is torch.float32
    moved = (master != later).float().mean()
    same = [float((weights[k] == weights_later[k]).float().mean()) for k in weights]
    assert moved > 0.5, "an update below the step of bf16 is kept in float32"
    assert all(w.dtype is torch.bfloat16 for w in weights.values())
    assert np.mean(same) > 0.9, "and not yet seen in bf16"
    plain = run(config(tokens, tiny_model, tmp_path / "plain", steps=2, **{"optimizer.learning_rate": 1e-6}), say=quiet)
    assert losses(tmp_path / "run")[-1] == pytest.approx(plain.metrics["loss"], rel=0.01)
