"""Compiled functions where nothing can be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.raylib.cluster.hosts import can_make_hosts

MODULE = """
from raylib.compiled import compiled

@compiled(nogil=True)
def add(a, b):
    return a + b

print(add(1, 2))
"""


@pytest.mark.skipif(not can_make_hosts(), reason="needs root and namespaces")
def test_a_read_only_file_system_costs_the_cache_only(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE, "utf-8")
    mounts = f"mount --bind {tmp_path} {tmp_path}; mount -o remount,ro,bind {tmp_path}; exec"
    command = ["unshare", "--mount", "sh", "-c", f"{mounts} {sys.executable} {tmp_path}/module.py"]
    environment = {"HOME": "/proc/none", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")
    assert not (tmp_path / "__pycache__").exists()


def test_machine_code_is_kept_beside_the_module(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE, "utf-8")
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "module.py")], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("3\n", "")
    assert list((tmp_path / "__pycache__").glob("*.nbc"))
