"""Compiled operators: a killed process blocks nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from training.model.operators import sole_builder

_HOLDER = """
import sys, time
from pathlib import Path
from training.model.operators import sole_builder
with sole_builder(Path(sys.argv[1])):
    print('held', flush=True)
    Path(sys.argv[2]).touch()
    time.sleep(600)
"""


def test_lock_files_of_the_dead_do_not_block(tmp_path: Path) -> None:
    (tmp_path / "op").mkdir()
    lock = tmp_path / "op" / "lock"
    lock.touch()
    os.utime(lock, (time.time() - 3600,) * 2)
    command = [sys.executable, "-c", _HOLDER, str(tmp_path), str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        time.sleep(0.2)
        holder.kill()  # in the middle of it, with both locks
    begun = time.monotonic()
    with sole_builder(tmp_path, stale=1.0):
        assert not lock.exists()
    assert time.monotonic() - begun < 20
