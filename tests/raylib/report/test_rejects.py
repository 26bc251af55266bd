"""Search in rejected records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylib.engine import run
from raylib.errors import ParameterError
from raylib.recipe import Recipe
from raylib.report import rejects
from raylib.report.live import RunView
from raylib.report.rejects import Cursor


def every_page(view: RunView, **asked: Any) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = view.rejects(cursor=cursor, **asked)
        found += [record["id"] for record in page["records"]]
        cursor = page["cursor"]
        if not cursor:
            return found


@pytest.mark.parametrize("limit", [7, 50, 500])
def test_every_reject_is_found_once_whatever_the_pages(rejects_view: RunView, limit: int) -> None:
    found = every_page(rejects_view, key="length", limit=limit)
    assert sorted(found) == sorted(f"d{i}" for i in range(0, 400, 4))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"query": "短36"}, ["d36", "d360", "d364", "d368"]),
        ({"query": "D392"}, ["d392"]),
        ({"query": "< 150", "key": "length/too_short_or_long", "limit": 2}, ["d0", "d4"]),
        ({"query": "这里没有"}, []),
        ({"key": "exact_dedup"}, []),
        ({"key": "length/another_reason"}, []),
    ],
)
def test_a_search_looks_at_id_text_detail_stage_and_reason(
    rejects_view: RunView, asked: dict[str, Any], expected: list[str]
) -> None:
    assert [record["id"] for record in rejects_view.rejects(**asked)["records"]] == expected


def test_a_search_that_takes_too_long_continues_where_it_stopped(
    rejects_view: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "_SECONDS", -1.0)
    first = rejects_view.rejects(query="短396")
    assert (first["records"], first["cursor"] != "") == ([], True)
    assert every_page(rejects_view, query="短396") == ["d396"]


@pytest.mark.parametrize("text", ["5", "1:2:3", "-1:0", "a:b", "../../etc", "1:" + "9" * 20])
def test_a_wrong_cursor_is_refused(rejects_view: RunView, text: str) -> None:
    with pytest.raises(ParameterError, match="cursor"):
        rejects_view.rejects(cursor=text)


def test_a_cursor_reads_as_it_is_written() -> None:
    assert Cursor.parse(str(Cursor(3, 1500))) == Cursor(3, 1500)
    assert Cursor.parse("") == Cursor(0, 0)


def test_conversations_and_damaged_records_are_searched_and_shown(
    tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    turns = [{"role": "user", "content": "老火车站几点开门？"}, {"role": "assistant", "content": "九点。"}]
    rows: list[Any] = [{"id": "short", "messages": turns}, b'{"id": "cut", "messages": [{"role": "user", "con']
    data = {
        "input": {"path": str(write_jsonl(rows)), "kind": "conversation"},
        "output": {"path": str(tmp_path / "out")},
        "engine": {"mode": "inline"},
        "stages": [{"length": {"min": 100}}],
    }
    run(Recipe.from_dict(data, "test"))
    view = RunView(str(tmp_path / "out"))
    (record,) = view.rejects(query="火车站")["records"]
    assert record["id"] == "short"
    assert record["text"] == "老火车站几点开门？\n九点。"
    assert record["characters"] == 13
    (damaged,) = view.rejects(key="read")["records"]
    assert damaged["text"].startswith('{"raw":')
    assert "cut" in damaged["text"]
