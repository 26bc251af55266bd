"""`raylib run` as a user types it: a first look, a changed recipe, another input, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import yaml

from tests.texts import ARTICLE

pytestmark = pytest.mark.slow  # every command is a process of its own
Write = Callable[..., Path]
STAGES: list[object] = [{"length": {"min": 5}}, "exact_dedup", {"chinese_ratio": {"min": 0.1}}]


@pytest.fixture
def project(tmp_path: Path, write_jsonl: Write) -> Path:
    """A folder with data and a recipe, all paths relative."""
    (tmp_path / "data").mkdir()
    write_jsonl([{"id": str(n), "text": ARTICLE[n:] * 3} for n in range(40)], "data/a.jsonl")
    write_jsonl([{"id": f"b{n}", "text": ARTICLE[n:] * 2} for n in range(7)], "data/b.jsonl")
    write_recipe(tmp_path, STAGES)
    return tmp_path


def write_recipe(project: Path, stages: list[object], path: str = "data/a.jsonl", **engine: object) -> None:
    recipe = {
        "input": {"path": path},
        "output": {"path": "out/it"},
        "engine": {"mode": "inline", **engine},
        "stages": stages,
    }
    (project / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")


def raylib(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raylib", "run", "recipe.yaml", "-q", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def summary(project: Path, name: str = "it") -> dict[str, int]:
    found: dict[str, int] = orjson.loads((project / "out" / name / "summary.json").read_bytes())
    return found


def content(project: Path) -> dict[str, bytes]:
    kept = project / "out" / "it"
    return {str(p.relative_to(kept)): p.read_bytes() for p in sorted(kept.rglob("*.parquet"))}


def test_a_first_look_leaves_the_run_alone(project: Path) -> None:
    assert raylib(project).returncode == 0
    before = content(project)
    for limit in (3, 5, 3):
        look = raylib(project, "--limit", str(limit))
        assert look.returncode == 0, look.stderr
        assert f"out/it.limit{limit}/report.html" in look.stdout.replace("\n", "")
        assert summary(project, f"it.limit{limit}")["records_in"] == limit
    assert content(project) == before
    assert summary(project)["records_in"] == 40


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stages": [*STAGES[:2], {"chinese_ratio": {"min": 0.2}}]}, "from stage 3 (chinese_ratio) on"),
        ({"stages": STAGES[:2]}, "in the last pass"),
        (
            {"stages": STAGES, "path": "data/b.jsonl"},
            "input.path. Work would be done again from the beginning",
        ),
        ({"stages": STAGES, "batch_mb": 0.001}, "Different: engine.batch_mb"),
    ],
)
def test_another_plan_asks_before_it_replaces_a_run(project: Path, change: dict[str, object], said: str) -> None:
    assert raylib(project).returncode == 0
    before = content(project)
    write_recipe(project, **change)  # type: ignore[arg-type]
    refused = raylib(project)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: out/it holds another run")
    assert said in refused.stderr
    assert content(project) == before
    assert raylib(project, "--update").returncode == 0
    updated = content(project)
    assert raylib(project, "--fresh").returncode == 0
    assert content(project) == updated, "an update gives the bytes of a new run"


def test_the_same_plan_continues_from_any_folder_and_with_more_workers(project: Path) -> None:
    assert raylib(project).returncode == 0
    write_recipe(project, STAGES, str(project / "data/a.jsonl"), actors=3)
    assert raylib(project).returncode == 0


def test_more_files_in_the_same_place_continue(project: Path, write_jsonl: Write) -> None:
    write_recipe(project, STAGES, "data/*.jsonl")
    assert raylib(project).returncode == 0
    write_jsonl([{"id": "c", "text": ARTICLE}], "data/c.jsonl")
    assert raylib(project).returncode == 0
    assert summary(project)["records_in"] == 48


@pytest.mark.faults
def test_an_interrupted_run_says_how_to_continue(project: Path, write_jsonl: Write) -> None:
    write_jsonl([{"id": str(n), "text": ARTICLE * 20 + str(n)} for n in range(20_000)], "data/a.jsonl")
    write_recipe(project, ["minhash_dedup"])
    command = [sys.executable, "-m", "raylib", "run", "recipe.yaml"]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.readline() == "read ...\n", "the first phase has begun"
        os.kill(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.wait() == 130
    assert "interrupted; run the same command again to continue" in said
    assert "Traceback" not in said
