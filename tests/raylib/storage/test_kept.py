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
    names = [split_name("x", v) for v in values]
    assert [names[0], *names[4:]] == ["新闻", "none", "x3", "xtrue"]
    assert [name.rpartition("-")[0] for name in names[1:4]] == ["a_b_c", "empty", "empty"]
    assert split_name("x", "a" * 120) == "a" * 120


@given(st.lists(st.one_of(st.none(), st.text("aA_/ .-中\0none0", max_size=6)), unique=True, max_size=30))
def test_no_two_values_share_a_folder(values: list[str | None]) -> None:
    values += [split_name("x", v) for v in values if split_name("x", v) not in values]
    assert len({split_name("x", v) for v in values}) == len(set(values))


def test_values_that_differ_in_signs_alone_have_a_folder_each(write_jsonl: Write, tmp_path: Path) -> None:
    texts = ["a/b", "a_b", "a b", "none", "None"]
    source = write_jsonl([{"id": str(i), "text": f"第{i}篇", "source": t} for i, t in enumerate(texts)])
    out = tmp_path / "out"
    data: dict[str, Any] = {"input": {"path": str(source)}, "engine": {"mode": "inline"}, "stages": []}
    run(Recipe.from_dict({**data, "output": {"path": str(out), "split_by": "source"}}))
    names = {folder.name for folder in (out / "kept").iterdir()}
    assert len(names) == 5
    assert {"a_b", "None"} < names


def test_a_run_with_too_many_values_in_all_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for part in range(2):
        lines = [f'{{"id": "{part}-{i}", "text": "第{i}篇", "source": "{part}-{i}"}}\n' for i in range(60)]
        (tmp_path / f"part{part}.jsonl").write_text("".join(lines) + " " * (20 << 20), "utf-8")
    data = {"input": {"path": [str(tmp_path / f"part{i}.jsonl") for i in range(2)]}, "engine": {"mode": "inline"}}
    out = {"output": {"path": str(tmp_path / "out"), "split_by": "source"}}
    run(Recipe.from_dict({**data, **out, "stages": []}))
    assert "has 120 values over all shards" in caplog.text


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
