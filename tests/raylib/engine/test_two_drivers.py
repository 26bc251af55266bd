"""Several drivers on one output folder: one works, the others say who does. After a kill the next begins at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from raylib.storage.verification import verify_run
from tests.raylib.engine.runs import content, recipe, rows

pytestmark = pytest.mark.faults

STAGES = [{"length": {"min": 10}}, "exact_dedup"]
OTHER = [{"length": {"min": 12}}, {"length": {"max": 100_000}}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an input that takes a second, and two recipes for the same output."""
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows(12_000)))
    for name, stages in (("recipe", STAGES), ("other", OTHER)):
        given = recipe(tmp_path / "in.jsonl", tmp_path / "out", stages, engine__batch_mb=0.2)
        (tmp_path / f"{name}.yaml").write_text(given.to_yaml())
    return tmp_path


def start(folder: Path, name: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "raylib", "run", str(folder / f"{name}.yaml"), "-q", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_manifest(folder: Path, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not (folder / "out" / "manifest.jsonl").exists():
        time.sleep(0.005)


def expected(folder: Path, name: str) -> dict[str, bytes]:
    run(Recipe.from_file(folder / f"{name}.yaml", {"output.path": str(folder / f"alone-{name}")}))
    return content(folder / f"alone-{name}")


def check(commands: list[tuple[str, ...]], codes: list[int], said: list[str], folder: Path) -> None:
    for code, words in zip(codes, said, strict=True):
        assert code == 0 or (code == 1 and words.startswith("error: ") and len(words.strip().splitlines()) == 1), words
        assert code == 0 or "another process is writing to" in words or "holds another run" in words, words
    recipes = {command[0] for command, code in zip(commands, codes, strict=True) if code == 0}
    assert content(folder / "out") in [expected(folder, name) for name in recipes]
    assert verify_run(str(folder / "out")).problems == []


TWO = [[("recipe",)] * 2, [("recipe",), ("recipe", "--fresh")], [("recipe",), ("other", "--fresh")]]
FIVE = [("recipe",), ("recipe",), ("recipe",), ("recipe", "--fresh"), ("other",)]


@pytest.mark.parametrize("commands", [*TWO, pytest.param(FIVE, marks=pytest.mark.slow)])
def test_while_one_works_the_others_are_told(folder: Path, commands: list[tuple[str, ...]]) -> None:
    first = start(folder, *commands[0])
    wait_for_manifest(folder, first)
    first.send_signal(signal.SIGSTOP)  # so that it has not ended when the others begin
    others = [start(folder, *command) for command in commands[1:]]
    said = [process.communicate(timeout=120)[1] for process in others]
    first.send_signal(signal.SIGCONT)
    said.insert(0, first.communicate(timeout=120)[1])
    codes = [process.returncode for process in (first, *others)]
    assert codes == [0] + [1] * len(others), said
    check(commands, codes, said, folder)


@pytest.mark.parametrize("commands", [TWO[0], pytest.param(FIVE, marks=pytest.mark.slow)])
def test_all_begin_together(folder: Path, commands: list[tuple[str, ...]]) -> None:
    processes = [start(folder, *command) for command in commands]
    said = [process.communicate(timeout=120)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes, said  # one that comes when the first has ended may work too
    check(commands, codes, said, folder)


def test_after_a_kill_the_next_one_begins_at_once(folder: Path) -> None:
    killed = start(folder, "recipe")
    wait_for_manifest(folder, killed)
    killed.kill()
    killed.communicate()
    again = start(folder, "recipe")
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert content(folder / "out") == expected(folder, "recipe")
