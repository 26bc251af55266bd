"""Relative paths, typed in one folder, on a cluster that was started in another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import yaml

from raylib.cluster.local import LocalCluster
from tests.texts import ARTICLE
from tests.training.setup import SHAPES, token_sets

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    cluster = LocalCluster(num_cpus=3, object_store_memory=200_000_000)
    cluster.start()
    try:
        found = None
        while found is None:
            found = cluster.address(1.0)
        yield found
    finally:
        cluster.stop()


def raylib(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raylib", *arguments]
    variables = {**os.environ, "RAY_TRAIN_V2_ENABLED": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_a_recipe(tmp_path: Path, address: str) -> None:
    (tmp_path / "data").mkdir()
    texts = [ARTICLE + ARTICLE, ARTICLE + "冰川湖畔" + ARTICLE, "短"]
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    (tmp_path / "data" / "a.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (tmp_path / "words.txt").write_text("冰川湖畔\n", "utf-8")
    recipe = {
        "input": {"path": "data/*.jsonl"},
        "output": {"path": "out/ray"},
        "stages": [{"length": {"min": 10}}, {"sensitive": {"lexicon": "words.txt"}}, "exact_dedup"],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    done = raylib(tmp_path, "run", "recipe.yaml", "--address", address)
    assert done.returncode == 0, done.stderr
    summary = orjson.loads((tmp_path / "out/ray/summary.json").read_bytes())
    assert summary["records_kept"] == 1, done.stdout
    assert summary["by_reason"] == {"length/too_short_or_long": 1, "sensitive/sensitive": 1}
    here = raylib(tmp_path, "run", "recipe.yaml", "--set", "engine.mode=inline", "--set", "output.path=out/here")
    assert here.returncode == 0, here.stderr
    kept = [next((tmp_path / "out" / name / "kept").glob("*.parquet")).read_bytes() for name in ("ray", "here")]
    assert kept[0] == kept[1]


def test_a_training(tmp_path: Path, address: str, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "models" / "base")
    token_sets(tmp_path, tiny_model)
    config = {
        "objective": "sft",
        "output": "runs",
        "name": "relative",
        "model": {"shape": SHAPES["llama"], "tokenizer": "models/base", "dtype": "fp32"},
        "data": {"train": [{"path": "sft"}], "sequence_length": 128},
        "parallel": {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no", "max_failures": 0},
        "batch": 4,
        "micro_batch": 1,
        "steps": 2,
    }
    (tmp_path / "sft.yaml").write_text(yaml.safe_dump(config), "utf-8")
    done = raylib(tmp_path, "train", "sft.yaml", "--mode", "ray", "--address", address)
    assert done.returncode == 0, done.stderr[-3000:]
    assert orjson.loads((tmp_path / "runs/relative/result.json").read_bytes())["step"] == 2
    missing = raylib(
        tmp_path, "train", "sft.yaml", "--mode", "ray", "--address", address, "--set", "model.path=models/b"
    )
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: model.path: 'models/b' is not a folder (looked in ")
