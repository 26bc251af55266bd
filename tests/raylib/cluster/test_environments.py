"""Runs in surroundings that Ray by itself does not stand: each works, or ends at once with what to set."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import yaml

from tests.raylib.engine.runs import rows

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
Write = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, write_jsonl: Write) -> Path:
    """A small input, and a recipe whose work Ray's actors do."""
    write_jsonl(rows(60))
    recipe = {
        "input": {"path": str(tmp_path / "in.jsonl")},
        "output": {"path": str(tmp_path / "out")},
        "engine": {"work_while_starting": 0},
        "stages": ["exact_dedup"],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def run(project: Path, *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("RAY_")}
    return subprocess.run(
        [*before, sys.executable, "-m", "raylib", "run", str(project / "recipe.yaml"), "-q"],
        env={**variables, **environment},
        capture_output=True,
        text=True,
        timeout=120,  # Ray by itself waits longer for what it does not get
        check=False,
    )


def mounted(options: str, place: Path | str) -> list[str]:
    """A command line that runs the rest where another volume is mounted."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mounting needs root")
    return ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {options} none {place} && exec "$@"', "sh"]


def check_complete(project: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert orjson.loads((project / "out/summary.json").read_bytes())["records_in"] == 60


@pytest.mark.parametrize("name", ["slurm_job_" * 9, "临时文件", "a b", "missing"])
def test_temporary_folders(project: Path, name: str) -> None:
    place = project / name
    if name != "missing":
        place.mkdir()
    check_complete(project, run(project, TMPDIR=str(place)))


def test_a_read_only_temporary_folder_and_home(project: Path) -> None:
    place = project / "read_only"
    place.mkdir()
    check_complete(project, run(project, *mounted("ro", place), TMPDIR=str(place), HOME=str(place)))


def test_a_folder_of_ray_in_which_this_user_may_not_write(project: Path) -> None:
    Path("/tmp/ray").mkdir(exist_ok=True)
    check_complete(project, run(project, *mounted("ro", "/tmp/ray")))


def test_one_core_little_shared_memory_and_a_proxy(project: Path) -> None:
    before = [*mounted("size=2m", "/dev/shm"), "taskset", "-c", str(min(os.sched_getaffinity(0))), "prlimit"]
    nowhere = "http://127.0.0.1:9"
    check_complete(project, run(project, *before, "--nofile=256", http_proxy=nowhere, https_proxy=nowhere, LC_ALL="C"))


def test_nothing_of_a_run_stays_in_the_temporary_folder(project: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="rl", dir="/tmp"))  # a short name, as Ray's own folder gets one
    try:
        check_complete(project, run(project, TMPDIR=str(place)))
        assert [p.name for p in place.rglob("*") if "session_" in p.name] == []
    finally:
        shutil.rmtree(place)


def test_a_stale_address(project: Path) -> None:
    done = run(project, RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Ray cluster answers at 127.0.0.1:1 (RAY_ADDRESS); start one with ")
    assert done.stderr.count("\n") == 1
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (["prlimit", "--as=2000000000"], "address space: limit 2.0 GB; set `ulimit -v unlimited`"),
        (["prlimit", "--nofile=64"], "open files: limit 64 (hard 64); set `ulimit -n 65536`"),
        (["unshare", "--net"], "loopback network: 127.0.0.1 does not answer: "),
    ],
)
def test_what_cannot_work_ends_at_once(project: Path, before: list[str], said: str) -> None:
    if before[0] == "unshare" and os.geteuid() != 0:
        pytest.skip("a network of its own needs root")
    done = run(project, *before)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: a local Ray cannot start here: {said}")
    assert done.stderr.count("\n") == 1


def test_a_working_folder_that_is_gone(project: Path) -> None:
    gone = project / "gone"
    done = run(project, "sh", "-c", f'mkdir {gone} && cd {gone} && rmdir {gone} && exec "$@"', "sh")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: the working folder has been deleted; change to a folder that exists (cd)\n"
