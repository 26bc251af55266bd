"""Writing of shuffled samples where files cannot grow."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.texts import ARTICLE
from tests.training.setup import write

pytestmark = pytest.mark.slow


def test_a_file_that_cannot_grow_is_an_error_with_advice(tmp_path: Path, rewriting: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"id": str(i), "text": ARTICLE} for i in range(200)])
    command = [sys.executable, "-m", "raylib", "tokenize", source, "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--tokenizer", str(rewriting)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ulimit -f unlimited" in done.stderr
    again = subprocess.run([*command, "--tokenizer", str(rewriting)], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
