"""Whole runs: learning, phases, compiled layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from raylib.errors import TrainingError
from tests.training.setup import config, losses, metrics, quiet
from training.config import TrainConfig
from training.loop.folder import Result
from training.loop.launch import run


@pytest.mark.slow
def test_a_run_learns_and_says_what_it_did(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    made = config(
        tokens,
        tiny_model,
        tmp_path,
        steps=25,
        **{"optimizer.learning_rate": 5e-3, "data.evaluation": [{"path": tokens["pretrain"]}], "evaluate_every": 10},
    )
    result = run(made, say=said.append)
    found = metrics(tmp_path / "run")
    assert result.finished
    assert result.step == 25 == len(found)
    assert Result.read(tmp_path / "run") == result
    assert found[-1]["loss"] < found[0]["loss"] - 0.5
    for name in ("lr", "grad_norm", "tokens", "tgs", "tflops", "seconds_data", "seconds_model", "memory_gb", "epoch"):
        assert name in found[0], name
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["config"]["optimizer"]["learning_rate"] == 5e-3
    assert facts["versions"]["torch"]
    assert facts["command"]
    assert any("tokens in" in s and "samples" in s for s in said), "sizes are told before training"
    names = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert {"best", "final", "step-25"} == names
    with pytest.raises(TrainingError, match="another configuration"):
        run(config(tokens, tiny_model, tmp_path, steps=26), say=quiet)


@pytest.mark.slow
def test_compiled_layers_give_the_same_losses(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    for name, compiled in (("plain", False), ("compiled", True)):
        run(config(tokens, tiny_model, tmp_path / name, steps=2, **{"model.compile": compiled}), say=quiet)
    assert losses(tmp_path / "compiled" / "run") == pytest.approx(losses(tmp_path / "plain" / "run"), abs=1e-4)
    AutoModelForCausalLM.from_pretrained(tmp_path / "compiled" / "run" / "checkpoints" / "final")


def test_phases_continue_from_the_last_weights(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    phases = [
        {"name": "easy", "train": [{"path": tokens["sft"]}], "steps": 3},
        {"name": "hard", "train": [{"path": tokens["pretrain"]}], "steps": 3, "learning_rate": 5e-4},
    ]
    run(config(tokens, tiny_model, tmp_path, phases=phases, save_every=2), say=quiet)
    found = metrics(tmp_path / "run")
    assert [(m["phase"], m["step"]) for m in found] == [(p, s) for p in ("easy", "hard") for s in (1, 2, 3)]
    assert [m["total_step"] for m in found] == [1, 2, 3, 4, 5, 6]
    assert max(m["lr"] for m in found if m["phase"] == "hard") <= 5e-4
    easy, final = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoints" / n) for n in ("final-easy", "final")
    )
    again = run(
        TrainConfig.from_dict(
            {
                **config(tokens, tiny_model, tmp_path / "alone", steps=3).describe(),
                "objective": "sft",
                "model": {
                    "path": str(tmp_path / "run" / "checkpoints" / "final-easy"),
                    "tokenizer": str(tiny_model),
                    "dtype": "fp32",
                },
                "data": {"train": [{"path": tokens["pretrain"]}], "sequence_length": 128},
                "optimizer": {"learning_rate": 5e-4},
            }
        ),
        say=quiet,
    )
    assert again.metrics["loss"] == pytest.approx(found[-1]["loss"], abs=1e-5), (
        "the second phase is a run from the first one's weights"
    )
    assert any(not torch.equal(a, b) for a, b in zip(easy.parameters(), final.parameters(), strict=True))
