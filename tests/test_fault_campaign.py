"""Some minutes of the fault campaign; `RAYLIB_TEST_FAULT_MINUTES` says how many, and the day draws the seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.slow, pytest.mark.cluster]
ROOT = Path(__file__).parents[1]


def test_whatever_happens_the_bytes_are_the_same(tmp_path: Path) -> None:
    minutes = os.environ.get("RAYLIB_TEST_FAULT_MINUTES", "3")
    seed = str(int(time.time() // 86400))
    command = [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--minutes", minutes, "--seed", seed]
    options = ["--pause", "5", "--records", "600", "--json", str(tmp_path / "cases.json")]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert json.loads((tmp_path / "cases.json").read_text())
