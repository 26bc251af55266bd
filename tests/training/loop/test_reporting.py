"""Where metrics go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.setup import config, quiet
from training.loop.launch import run


@pytest.mark.slow
def test_metrics_go_to_wandb_too(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(config(tokens, tiny_model, tmp_path, steps=2, wandb="raylib-test"), say=quiet)
    (held,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-run.wandb")
    content = held.read_bytes()
    assert b"grad_norm" in content
    assert b"raylib-test" in content
