"""Examples in docstrings run, all of them: in a folder with the bundled sample."""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
from pathlib import Path

import pytest

from tests import house

WITH_EXAMPLES = [
    house.module_path(p) for p in house.product() if re.search(r"^\s*>>> ", p.read_text("utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(house.ROOT / "examples" / "data", tmp_path / "pages")
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert result.failed == 0
    assert result.attempted > 0


def test_there_are_examples() -> None:
    assert WITH_EXAMPLES
