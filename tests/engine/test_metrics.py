"""The counters on Ray's own Prometheus endpoint, scraped while a run is under way on a real cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.texts import ARTICLE

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time, ray
from raylib.recipe import Recipe
from raylib.engine import run
context = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _metrics_export_port={port})
recipe = Recipe.from_file(sys.argv[1])
run(recipe)
print("ran", flush=True)
sys.stdin.readline()
"""


def scrape(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@pytest.mark.slow
@pytest.mark.cluster
def test_counters_are_on_the_prometheus_endpoint(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    source = write_jsonl([{"id": str(i), "text": f"{ARTICLE}{i}" if i % 4 else "短"} for i in range(400)])
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"input: {{path: {source}}}\noutput: {{path: {tmp_path}/out}}\nengine: {{actors: 2, batch_mb: 0.05}}\n"
        "stages: [{length: {min: 10}}, exact_dedup]\n"
    )
    port = 20000 + os.getpid() % 10000
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(port=port), str(recipe)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"},
    )
    try:
        page = ""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            page = scrape(port)
            found = re.search(r'raylib_rejects_total\{[^}]*reason="too_short_or_long"[^}]*\} ([0-9.]+)', page)
            if found and float(found[1]) == 100 and "raylib_stage_seconds_total" in page:
                break
            time.sleep(0.5)
        assert 'stage="length"' in page
        kept = sum(
            float(v)
            for v in re.findall(
                r'raylib_records_total\{(?=[^}]*outcome="kept")(?=[^}]*stage="length")[^}]*\} ([0-9.]+)', page
            )
        )
        assert kept == 300
        assert re.search(r'raylib_shards_total\{[^}]*outcome="committed"', page)
        assert "raylib_bytes_total" in page
    finally:
        process.kill()
        process.wait()
