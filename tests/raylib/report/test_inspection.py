"""What `raylib inspect` says about data sets and runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylib.engine import run
from raylib.errors import SourceError
from raylib.recipe import Recipe
from raylib.report.inspection import inspect_path
from tests.raylib.report.runs import recipe_file
from tests.texts import ARTICLE, POEM, conversations


def test_documents_are_described(write_jsonl: Callable[..., Path]) -> None:
    rows: list[Any] = [
        {"id": str(i), "source": "网页" if i else "诗", "text": POEM if i else ARTICLE} for i in range(5)
    ]
    path = write_jsonl([*rows, b'{"id": "cut', {"id": "number", "text": 42}])
    lines = list(inspect_path(str(path), samples=2))
    assert lines[0] == f"1 file, {path.stat().st_size:,} bytes on disk"
    assert lines[1].startswith("kind document (layout document), encoding of the first file utf-8")
    assert "5 records, 2 unreadable" in lines
    assert "  unreadable: wrong_type 1" in lines
    (lengths,) = (line for line in lines if line.startswith("characters"))
    assert lengths.startswith(f"characters: min {len(POEM)}, 10 % {len(POEM)}, median {len(POEM)}, 90 % ")
    assert lengths.endswith(f"max {len(ARTICLE)}")
    assert [line for line in lines if line.startswith("  source")] == ["  source 网页: 4", "  source 诗: 1"]
    assert [line[:7] for line in lines if line.startswith("---")] == [f"--- {ARTICLE[:3]}", f"--- {POEM[:3]}"]


def test_conversations_are_recognised(write_jsonl: Callable[..., Path]) -> None:
    lines = list(inspect_path(str(write_jsonl(conversations(10)))))
    assert any(line.startswith("kind conversation") for line in lines)
    assert any(line.startswith("schema: id: string, messages: messages, tools: ") for line in lines)


def test_a_limit_stops_reading_and_is_mentioned(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(ARTICLE, "utf-8")
    assert "1 records, 0 unreadable (stopped at the limit)" in list(inspect_path(str(tmp_path), limit=1))
    assert "3 records, 0 unreadable" in list(inspect_path(str(tmp_path), limit=10))


def test_a_run_is_described_with_what_it_kept(tmp_path: Path) -> None:
    run(Recipe.from_file(recipe_file(tmp_path, 40)))
    lines = list(inspect_path(str(tmp_path / "out")))
    assert lines[0] == "a run of recipe '页面': 40 records in"
    assert lines[1] == f"kept 30, rejected 10, report {tmp_path}/out/report.html"
    assert "30 records, 0 unreadable" in lines


def test_files_without_records_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(SourceError, match=r"contains no records in 1 file$"):
        list(inspect_path(str(tmp_path)))
