"""The GPU benchmark runs anywhere at a toy size, without the project's own dependencies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_BARE = """
import runpy, sys
for name in ("ray", "pydantic", "orjson", "numba", "raylib", "training", "deepspeed"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_it_measures_every_part_without_our_packages(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "train_gpu.py"
    command = [
        sys.executable,
        "-c",
        _BARE,
        str(script),
        "--shape",
        "tiny",
        "--length",
        "64",
        "--steps",
        "2",
        "--warmup",
        "1",
        "--micro",
        "2",
        "--accumulation",
        "2",
        "--device",
        "cpu",
        "--optimizer",
        "fp32",
        "--out",
        str(tmp_path / "o.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "o.json").read_text())["found"]
    assert set(found) == {"control", "pretrain", "sft", "dpo", "dpo-online", "trainer"}
    n = 2 * (4 * 64 * 64 + 3 * 64 * 128) + 64 * 512
    for row in found.values():
        assert row["tflops"] * 1e12 / row["tokens_per_second"] == pytest.approx(6 * n + 12 * 2 * 64 * 64, rel=1e-6)
    assert "of SFT's tokens/s" in done.stdout
    assert "over the control step" in done.stdout


@pytest.mark.slow
def test_the_plan_goes_on_after_a_part_that_fails(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "train_gpu.py"
    toy = ["--shape", "tiny", "--length", "64", "--device", "cpu", "--optimizer", "fp32"]
    plan = ["--plan", "lease", "--out", str(tmp_path), "--limit", "200"]
    (tmp_path / "orjson.py").write_text("raise ImportError('this machine has none')\n")
    command = [sys.executable, str(script), *toy, *plan, "limits", "equal", "loop"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "plan.json").read_text())
    assert "error" in found["loop"], "the product needs orjson"
    assert found["limits"]["product_tflops"] > 0
    ways = found["equal"]
    assert set(ways) >= {"sdpa", "one sequence a row", "varlen", "varlen, compiled"}
    for way in ("sdpa", "one sequence a row", "varlen"):
        assert ways[way]["gradient_error"] < 0.05, way
    assert "loop: ended with 1" in (tmp_path / "section.md").read_text()
