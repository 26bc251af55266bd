"""SIGKILL at every change of the file system, in a first start, a continued run and `--fresh`: all can be continued."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.raylib.engine.moments import MOMENTS

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=[pytest.mark.long, pytest.mark.slow])])
@pytest.mark.parametrize("start", MOMENTS)
def test_killed_at_every_moment(tmp_path: Path, start: str, step: int) -> None:
    # a process without threads, which may fork
    command = [sys.executable, "-m", "tests.raylib.engine.moments", str(tmp_path), start, str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = orjson.loads(done.stdout)
    assert result["wrong"] == [], done.stderr[-3000:]
    assert result["tried"] >= 150 // step
