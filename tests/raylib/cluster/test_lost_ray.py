"""A Ray that ends in a run is noticed, and the run says how to continue; actors that die are replaced, to a limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.raylib.engine.large_input import content

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.slow]
VICTIMS = {
    "raylet": "raylet/raylet",
    "GCS": "gcs/gcs_server",
    "helper": "raylib.cluster import local",
    "actor": "ray::WorkerActor",
}


def start(folder: Path, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "raylib", "run", str(folder / "recipe.yaml"), *options]
    ray = ["--set", "engine.actors=2", "--set", "engine.work_while_starting=0"]
    return subprocess.Popen([*command, *ray], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def found(process: subprocess.Popen[str], words: str) -> psutil.Process:
    """A process below this one, waited for."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if words in (" ".join(child.cmdline()) or child.name()):
                    return child
            except psutil.Error:
                continue
        time.sleep(0.05)
    said = process.communicate()[1] if process.poll() is not None else "it still runs"
    raise AssertionError(f"no {words}: {said[-2000:]}")


@pytest.mark.parametrize("what", ["raylet", "GCS", "helper"])
def test_a_lost_ray_ends_the_run_which_then_continues(scene: tuple[Path, dict[str, bytes]], what: str) -> None:
    folder, expected = scene
    with start(folder, "--fresh") as process:
        found(process, VICTIMS["actor"])
        time.sleep(1)
        found(process, VICTIMS[what]).kill()
        _, said = process.communicate(timeout=60)  # Ray by itself waits for minutes
        assert process.returncode == 1
    assert "Traceback" not in said
    error = next(line for line in said.splitlines() if line.startswith("error: "))
    assert "Everything committed so far is kept: run the same command again to continue" in error
    assert "/logs" in error
    with start(folder) as again:
        assert again.wait(180) == 0
    assert content(folder / "out") == expected


def test_an_actor_that_is_killed_is_replaced(scene: tuple[Path, dict[str, bytes]]) -> None:
    folder, expected = scene
    with start(folder, "--fresh") as process:
        found(process, VICTIMS["actor"]).kill()
        assert process.wait(180) == 0
    assert content(folder / "out") == expected


def test_a_stopped_actor_is_ended_by_the_limit_of_a_task(scene: tuple[Path, dict[str, bytes]]) -> None:
    folder, expected = scene
    with start(folder, "--fresh", "--set", "engine.task_minutes=0.25") as process:
        actor = found(process, VICTIMS["actor"])
        time.sleep(1.5)
        os.kill(actor.pid, signal.SIGSTOP)
        assert process.wait(240) == 0
        assert process.stderr is not None
        said = process.stderr.read()
    if f"process {actor.pid}" in said:  # it was at work on a task, not about to start
        assert "has been stopped; `kill -CONT" in said
        assert "took longer than engine.task_minutes = 0.25" in said
    assert content(folder / "out") == expected


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A control group of 700 MB, where this machine lets us make one."""
    place = Path("/sys/fs/cgroup/memory") / f"raylib-{uuid.uuid4().hex}"
    try:
        place.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    (place / "memory.limit_in_bytes").write_text(str(700 << 20))
    yield place
    for _ in range(100):
        try:
            place.rmdir()
        except OSError:  # the last processes are ending
            time.sleep(0.2)
        else:
            return


def test_too_little_memory_ends_the_run(scene: tuple[Path, dict[str, bytes]], small_memory: Path) -> None:
    folder, expected = scene
    enter = ("sh", "-c", f'echo $$ > {small_memory}/cgroup.procs; exec "$@"', "sh")
    with start(folder, "--fresh", before=enter) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(240) == 1
    assert "Traceback" not in said
    assert "error: " in said
    assert "run the same command again to continue" in said
    with start(folder) as again:
        assert again.wait(180) == 0
    assert content(folder / "out") == expected
