"""Stages with models on Ray: actors with GPUs where there are some, the same scores for any number of actors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from tests.texts import conversations

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
Write = Callable[..., Path]


def recipe(source: Path, out: Path, model: Path, stages: list[Any] | None = None, **engine: Any) -> Recipe:
    return Recipe.from_dict(
        {
            "input": {"path": str(source)},
            "output": {"path": str(out)},
            "engine": {"mode": "ray", "batch_mb": 0.004, **engine},
            "stages": [
                "collapse_newlines",
                *(stages or [{"ifd": {"model": str(model), "max_tokens": 128}}]),
                {"keep_where": "ifd < 2"},
            ],
        }
    )


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted((out / "kept").rglob("*.parquet"))}


def test_models_run_on_actors_with_gpus(
    cluster_with_gpus: Any, tmp_path: Path, write_jsonl: Write, tiny_model: Path
) -> None:
    from ray.util.state import list_actors

    source = write_jsonl(conversations(120))
    summary = run(recipe(source, tmp_path / "out", tiny_model)).summary
    assert summary["records_kept"] == 120
    assert summary["notes"]["ifd"]["tokens"] > 0
    # without an address, Ray asks the cluster that some program before started, if it left its address on the machine
    address = cluster_with_gpus.address_info["gcs_address"]
    wanted = [a.required_resources or {} for a in list_actors(address, detail=True)]
    assert sum(r.get("GPU", 0) == 1 for r in wanted) == 2, wanted
    half = run(recipe(source, tmp_path / "half", tiny_model, gpus_per_model=0.5)).summary
    assert half["records_kept"] == 120
    wanted = [a.required_resources or {} for a in list_actors(address, detail=True)]
    assert sum(r.get("GPU", 0) == 0.5 for r in wanted) == 4
    assert content(tmp_path / "out") == content(tmp_path / "half"), "the same scores on any number of actors"


def test_a_model_that_fails_names_its_shards(tmp_path: Path, write_jsonl: Write, tiny_model: Path) -> None:
    from raylib.errors import ShardError

    source = write_jsonl(conversations(10))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ShardError, match="quarantined"):
        run(recipe(source, tmp_path / "out", broken, retries=1))
