"""Many recipes at once on one cluster, and very many small files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from tests.raylib.cluster.work import RECIPES_AT_ONCE
from tests.raylib.engine.large_input import STAGES, content, make_input

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.cluster]


def test_many_recipes_at_once_on_one_cluster(cluster: str, tmp_path: Path) -> None:
    make_input(tmp_path / "in.jsonl", 2000)
    (tmp_path / "recipe.yaml").write_text(
        f"input: {{path: {tmp_path}/in.jsonl}}\noutput: {{path: OUT}}\nengine: {{batch_mb: 0.2, actors: "
        f"1}}\nstages:{STAGES}"
    )
    run(Recipe.from_file(tmp_path / "recipe.yaml", {"output.path": str(tmp_path / "alone"), "engine.mode": "inline"}))
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    runs = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "raylib",
                "run",
                str(tmp_path / "recipe.yaml"),
                "-q",
                "--address",
                cluster,
                "--set",
                f"output.path={tmp_path}/out{i}",
                "--set",
                f"name=run{i}",
            ],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(RECIPES_AT_ONCE)
    ]
    for i, process in enumerate(runs):
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors[-3000:]
        assert content(tmp_path / f"out{i}") == content(tmp_path / "alone"), f"run {i}"


def test_ten_thousand_small_files(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for i in range(100):
        (folder / f"{i:02d}").mkdir(parents=True)
    for i in range(10_000):
        (folder / f"{i % 100:02d}" / f"{i:05d}.txt").write_text(
            f"第{i}篇短文，讲的是同一件小事。" + ("春" if i % 2 else "秋") * 40, "utf-8"
        )
    recipe = Recipe.from_dict(
        {
            "input": {"path": str(folder)},
            "output": {"path": str(tmp_path / "out")},
            "engine": {"actors": 2},
            "stages": ["collapse_newlines", {"length": {"min": 10}}, "exact_dedup"],
        }
    )
    before = psutil.Process().num_fds()
    summary = run(recipe).summary
    assert summary["records_in"] == summary["records_kept"] == 10_000
    assert summary["shards"] < 100, "small files share shards"
    assert psutil.Process().num_fds() - before < 50, "files are closed"
    manifest = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    assert orjson.loads(manifest.splitlines()[0])["bytes"] > 1_000_000
