"""Kept records that are split: a folder for each value, whatever the values look like."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.engine import run
from raylib.errors import RecipeError, StageError
from raylib.recipe import Recipe
from raylib.storage.kept import KeptFiles, split_name
from raylib.storage.names import ShardName
from raylib.storage.writers import TableWriter

Write = Callable[..., Path]


def test_short_values_are_folders_as_they_are() -> None:
    values: list[Any] = ["新闻", "a b/c", "..", "", None, 3, True]
    assert [split_name("x", v) for v in values] == ["新闻", "a_b_c", "empty", "empty", "none", "x3", "xtrue"]
    assert split_name("x", "a" * 120) == "a" * 120


@given(st.text(st.characters(codec="utf-8"), min_size=30, max_size=300), st.text(max_size=3))
def test_long_values_fit_a_file_system_and_never_share_a_folder(start: str, end: str) -> None:
    value = "长" * 100 + start
    name = split_name("x", value)
    assert len(name.encode()) <= 120
    assert "/" not in name
    assert name.startswith("长" * 20)
    assert (split_name("x", value + end) == name) == (end == "")


def test_too_many_values_are_a_mistake_that_names_them() -> None:
    files = KeptFiles(lambda _: TableWriter(io.BytesIO(), "jsonl"), ShardName(3), "jsonl", "source")
    few, many = (pa.table({"source": [f"s{i}" for i in range(n)]}) for n in (100, 101))
    assert len(list(files.write(few))) == 100
    with pytest.raises(StageError, match=r"output\.split_by: column 'source' has 101 values .* at most 100"):
        list(files.write(many))


def test_a_run_split_by_many_sources_ends_and_is_continued_without(write_jsonl: Write, tmp_path: Path) -> None:
    source = write_jsonl([{"id": str(i), "text": f"第{i}篇", "source": f"{'源' * 200}{i}"} for i in range(120)])
    out = tmp_path / "out"
    data: dict[str, Any] = {"input": {"path": str(source)}, "engine": {"mode": "inline"}, "stages": []}
    split = {**data, "output": {"path": str(out), "split_by": "source"}}
    with pytest.raises(RecipeError, match="has 120 values"):
        run(Recipe.from_dict(split))
    few = run(Recipe.from_dict({**split, "stages": [{"keep_where": "id in ['7', '8']"}]}), update=True)
    assert few.summary["records_kept"] == 2
    assert len(list((out / "kept").iterdir())) == 2
