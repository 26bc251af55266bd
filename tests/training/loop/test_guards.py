"""Full volumes, hanging workers, slow disks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.setup import config, quiet
from training.loop.folder import Result
from training.loop.guards import ReadingSpeed, Watchdog, check_storage
from training.loop.launch import run
from training.model.world import World


def test_storage_guard_saves_and_stops(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    made = config(tokens, tiny_model, tmp_path, steps=4, storage_warn=1e-6, storage_stop=1e-6)
    result = run(made, say=said.append)
    assert not result.finished
    assert result.step == 1
    assert Result.read(tmp_path / "run") == result
    assert (tmp_path / "run" / "checkpoints" / "step-1" / "complete.json").is_file()
    assert any("saved and stopped" in s for s in said)
    assert not check_storage(tmp_path, config(tokens, tiny_model, tmp_path, storage_warn=1.0, storage_stop=1.0), quiet)


@pytest.mark.slow
def test_the_watchdog_leaves_stacks_and_ends_the_worker(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from training.loop.guards import Watchdog\n"
        "with Watchdog(0.02, Path(sys.argv[1])): time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "stacks.txt")], timeout=50, check=False)
    assert done.returncode == 75
    assert "no step for" in (tmp_path / "stacks.txt").read_text()
    assert "Thread" in (tmp_path / "stacks.txt").read_text()
    with Watchdog(0, tmp_path / "none.txt"):
        pass


def test_a_slow_reader_is_named() -> None:
    class Four(World):
        def __init__(self, mine: int) -> None:
            self.rank, self.size = mine, 4

        def gather(self, value: Any) -> list[Any]:
            _rank, _host, speed, seconds = value
            return [(r, f"node{r}", speed / (10 if r == 2 else 1), seconds * (10 if r == 2 else 1)) for r in range(4)]

    said: list[str] = []
    reading = ReadingSpeed(every=2)
    reading.add(1000, 0.1)
    assert reading.compare(Four(0), 1, said.append) == {}
    assert not said
    reading.add(1000, 0.1)
    found = reading.compare(Four(0), 2, said.append)
    assert found["read_median"] == pytest.approx(10_000)
    assert found["read_slowest"] == pytest.approx(1000)
    assert len(said) == 1
    assert "worker 2 on node2" in said[0]
