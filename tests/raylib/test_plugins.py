"""Folders of a user that have the name of one of our packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["quality", "training", "dedup", "cleaning"])
def test_a_package_of_the_user_that_hides_ours_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    command = [sys.executable, "-m", "raylib", "rules"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Python finds a package '{name}' in {tmp_path / name}, which hides")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["raylib", "quality", "training"])
def test_a_folder_beside_which_python_starts_hides_nothing(tmp_path: Path, name: str) -> None:
    """As in the folder that holds the checkout, or with data under a name that we use."""
    (tmp_path / name).mkdir()
    code = "import raylib, quality, training; from raylib.stage import stage_names; assert raylib.read; stage_names()"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
