"""The recipe that lies in a run's folder: a folder may come from a stranger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raylib.checksums import checksum
from raylib.engine.earlier import _recipe_in
from raylib.storage.entry import RunHeader
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

LAUGHS = "a0: &a0 [哈]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
HEADER = RunHeader(run="", started=0, versions={}, bytes=0, segments=())


@pytest.mark.parametrize("text", [LAUGHS, "[" * 100_000, "a: &a [*a]", "b: " + "1" * 5000, "a: {"])
def test_a_hostile_recipe_in_a_folder_counts_as_none(text: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    (tmp_path / RunFiles.RECIPE).write_text(text, "utf-8")
    assert _recipe_in(store, replace(HEADER, recipe=checksum(text.encode()))) == {}


def test_a_recipe_that_is_no_text_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / RunFiles.RECIPE).write_bytes(b"\xff\xfe\xfa")
    assert _recipe_in(Store(str(tmp_path)), HEADER) == {}
