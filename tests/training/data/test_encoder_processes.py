"""`raylib tokenize` that is killed or interrupted leaves no process behind, and continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import psutil
import pytest

from tests.processes import gone
from tests.texts import ARTICLE

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An input that is worth a process for each core."""
    path = tmp_path_factory.mktemp("large") / "in.jsonl"
    with path.open("wb") as stream:
        for i in range(60_000):
            stream.write(orjson.dumps({"id": str(i), "text": f"{i}{ARTICLE}"}) + b"\n")
    assert path.stat().st_size > 20 << 20
    return path


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core encodes in one process")
@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_no_process_is_left(large: Path, tiny_model: Path, tmp_path: Path, sent: signal.Signals, status: int) -> None:
    command = [sys.executable, "-m", "raylib", "tokenize", str(large), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [*command, "--tokenizer", str(tiny_model)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        found: list[psutil.Process] = []
        deadline = time.monotonic() + 120
        while len(found) < 3 and time.monotonic() < deadline and process.poll() is None:  # two, and a helper
            found = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.05)
        assert len(found) >= 3
        time.sleep(0.5)
        os.kill(process.pid, sent)
        assert process.wait(30) == status
        assert all(gone(child.pid) for child in found)
        assert process.stderr is not None
        said = process.stderr.read()
    if sent != signal.SIGKILL:
        assert "Traceback" not in said
        assert "interrupted; run the same command again to continue" in said.splitlines()
