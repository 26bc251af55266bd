"""Some minutes of the fault campaign; `RAYLIB_TEST_FAULT_MINUTES` says how many, and the day draws the seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.slow, pytest.mark.cluster]
ROOT = Path(__file__).parents[1]
_SHORT = ("global", "vectors", "scored", "tokenize")  # works whose undisturbed run takes a few seconds


def campaign(*options: str, folder: Path) -> tuple[list[dict[str, Any]], str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--pause", "5", *options]
    command += ["--json", str(folder / "cases.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert done.returncode == 0, said
    return json.loads((folder / "cases.json").read_text()), said


def test_whatever_happens_the_bytes_are_the_same(tmp_path: Path) -> None:
    minutes = os.environ.get("RAYLIB_TEST_FAULT_MINUTES", "10")
    works = [] if float(minutes) >= 10 else [part for work in _SHORT for part in ("--work", work)]
    seed = str(int(time.time() // 86400))
    cases, said = campaign("--minutes", minutes, "--seed", seed, *works, folder=tmp_path)
    assert any(fault["hit"] for case in cases for fault in case["faults"]), said


def test_a_case_is_the_same_with_and_without_a_choice_of_kinds(tmp_path: Path) -> None:
    chosen, _ = campaign("--one", "torn manifest", "--work", "vectors", "--cases", "1", "--seed", "3", folder=tmp_path)
    again, _ = campaign("--case", str(chosen[0]["number"]), "--seed", "3", folder=tmp_path)
    assert (again[0]["number"], again[0]["work"]) == (chosen[0]["number"], chosen[0]["work"])
    tried = [[(fault["kind"], fault["inline"]) for fault in cases[0]["faults"]] for cases in (chosen, again)]
    assert tried[0][0] == tried[1][0]  # those after the first depend on when it came
