"""Steps of a phase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from raylib.errors import TrainingError
from tests.training.setup import config, quiet
from training.loop.launch import run
from training.objectives import Causal


def test_a_loss_that_is_not_finite_is_skipped_or_stops(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Causal.loss, []

    def broken(self: Any, scorer: Any, batch: Any, counts: Any) -> Any:
        loss, sums = original(self, scorer, batch, counts)
        calls.append(1)
        return (loss * float("nan") if len(calls) in (3, 4) else loss), sums

    monkeypatch.setattr(Causal, "loss", broken)
    said: list[str] = []
    result = run(config(tokens, tiny_model, tmp_path / "a", steps=4), say=said.append)
    assert result.step == 4
    assert any("skipped" in s for s in said)
    weights = AutoModelForCausalLM.from_pretrained(tmp_path / "a" / "run" / "checkpoints" / "final").parameters()
    assert all(torch.isfinite(p).all() for p in weights)
    calls.clear()
    with pytest.raises(TrainingError, match="not a finite number"):
        run(config(tokens, tiny_model, tmp_path / "b", steps=4, non_finite="stop"), say=quiet)
