"""`raylib run` as a user types it: a first look, a changed recipe, another input, Ctrl-C."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psutil
import pytest
import yaml

from raylib.locking import LOCK_NAME
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


@contextmanager
def running(project: Path, write_jsonl: Write, *, engine: str = "inline") -> Iterator[subprocess.Popen[str]]:
    """A run of many records, whose first phase has begun; ended with the block if it still runs."""
    write_jsonl([{"id": str(n), "text": ARTICLE * 20 + str(n)} for n in range(20_000)], "data/a.jsonl")
    write_recipe(project, ["minhash_dedup"], mode=engine, work_while_starting=0)
    command = [sys.executable, "-m", "raylib", "run", "recipe.yaml"]
    with subprocess.Popen(
        command, cwd=project, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        begun = "read ...\n" if engine == "inline" else "starting Ray\n"
        assert begun in (process.stderr.readline(), process.stderr.readline()), "beside the space that it needs"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.faults
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_continue(
    project: Path, write_jsonl: Write, sent: signal.Signals, status: int
) -> None:
    with running(project, write_jsonl) as process:
        os.kill(process.pid, sent)
        if sent == signal.SIGTERM:  # `timeout` sends it twice
            os.kill(process.pid, sent)
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
        assert process.wait() == status
    assert said[-1] == "interrupted; run the same command again to continue"
    assert not any(word in line for line in said for word in ("Traceback", "***", "PC:", "Error"))
    assert not (project / "out/it" / LOCK_NAME).exists()


@pytest.mark.faults
def test_two_runs_into_one_folder(project: Path, write_jsonl: Write) -> None:
    with running(project, write_jsonl) as first:
        os.kill(first.pid, signal.SIGSTOP)  # it holds the folder, and nothing in it changes
        before = snapshot(project)
        for option in ("--resume", "--fresh", "--update"):
            second = raylib(project, option)
            assert second.returncode == 1
            assert second.stderr.startswith(
                f"error: another process is writing to out/it: pid {first.pid} on host {platform.node()}, since "
            )
            assert second.stderr.count("\n") == 1
        assert snapshot(project) == before
    write_recipe(project, STAGES)
    write_jsonl([{"id": str(n), "text": ARTICLE[n:] * 3} for n in range(40)], "data/a.jsonl")
    third = raylib(project, "--fresh")
    assert third.returncode == 0, "a killed run leaves no lock"
    assert third.stderr == ""
    assert not (project / "out/it" / LOCK_NAME).exists()


def snapshot(project: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file of the output."""
    files = [p for p in sorted((project / "out/it").rglob("*")) if p.is_file()]
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.mark.faults
@pytest.mark.cluster
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_a_terminated_run_ends_its_cluster(project: Path, write_jsonl: Write, moment: str) -> None:
    with running(project, write_jsonl, engine="ray") as process:
        ours = psutil.Process(process.pid)
        if moment == "working":
            manifest = project / "out/it/manifest.jsonl"
            wait_for(lambda: manifest.exists() and manifest.read_bytes().count(b'"shard"') > 1)
        wait_for(lambda: bool(ours.children()))
        cluster = ours.children(recursive=True)
        os.kill(process.pid, signal.SIGTERM)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() == 143
    assert said.splitlines()[-1] == "interrupted; run the same command again to continue"
    assert "***" not in said
    assert "Traceback" not in said
    _, left = psutil.wait_procs(cluster, timeout=60)
    assert left == []


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
