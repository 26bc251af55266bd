"""Rows of Parquet and CSV files: what Arrow fills with null, or a table with an empty cell, is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raylib.messages import MESSAGES, messages_array, rows_of
from raylib.records import RecordFile, Unread, tables_of

TURN = [{"role": "user", "content": "风多大？"}, {"role": "assistant", "content": "三级。"}]
CALL = {"type": "function", "function": {"name": "wind", "arguments": {"at": "港口"}}}


def read(path: Path, kind: str = "auto") -> list[dict[str, Any]]:
    return [row for table in tables_of(str(path), kind, rejected=Unread()) for row in rows_of(table)]


def test_structs_of_different_keys(tmp_path: Path) -> None:
    """Arrow gives every message, and every call, all keys that any of them has."""
    other = {"type": "function", "function": {"name": "rain", "arguments": {"day": 3}}}
    rows: list[dict[str, Any]] = [
        {"messages": [*TURN, {"role": "assistant", "content": None, "tool_calls": [CALL]}], "mark": None},
        {"messages": [TURN[0], {"role": "assistant", "content": None, "tool_calls": [other]}], "mark": {"x": 1}},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    found = read(tmp_path / "x.parquet")
    assert [row["messages"] for row in found] == [row["messages"] for row in rows]
    assert [row["meta"] for row in found] == [None, '{"mark":{"x":1}}']


def test_our_own_columns_are_read_again(tmp_path: Path) -> None:
    messages: list[dict[str, Any]] = [
        TURN[0],
        {"role": "assistant", "content": None, "tool_calls": [CALL], "mark": 5},
    ]
    table = pa.table({"id": ["1"], "messages": messages_array([messages]), "score": [0.5]})
    pq.write_table(table, tmp_path / "x.parquet")
    [row] = read(tmp_path / "x.parquet")
    assert (row["messages"], row["meta"]) == (messages, '{"score":0.5}')
    [stored] = RecordFile("x", str(tmp_path / "x.parquet")).tables(rejected=Unread())
    assert stored.equals(table), "a file of ours is given as it is stored"


def test_messages_of_others_are_read_though_they_look_like_ours(tmp_path: Path) -> None:
    messages = [{"role": "human", "content": "风多大？", "mark": 5}, {"role": "gpt", "content": "三级。", "mark": None}]
    pq.write_table(pa.Table.from_pylist([{"id": "1", "messages": messages, "score": 0.5}]), tmp_path / "x.parquet")
    [table] = RecordFile("x", str(tmp_path / "x.parquet")).tables(rejected=Unread())
    assert rows_of(table)[0]["messages"] == [{**TURN[0], "mark": 5}, TURN[1]]


def test_files_of_an_earlier_version(tmp_path: Path) -> None:
    old = pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))
    columns = {"id": ["1"], "prompt": pa.array([TURN[:1]], old), "chosen": pa.array(["三级。"], pa.large_string()),
               "rejected": pa.array(["无。"], pa.large_string()), "score": [0.5]}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    [table] = RecordFile("x", str(tmp_path / "x.parquet")).tables(rejected=Unread())
    assert [table.schema.field(name).type for name in ("prompt", "chosen", "rejected")] == [MESSAGES] * 3
    assert rows_of(table)[0]["chosen"] == TURN[1:]
    assert table["score"].to_pylist() == [0.5]


@pytest.mark.parametrize(
    ("header", "row", "kind"),
    [
        ("instruction,input,output,history,system,tools", "风多大？,,三级。,,,", "conversation"),
        ("prompt,chosen,rejected,messages", ',,,"[{""role"":""user"",""content"":""风多大？""},'
         '{""role"":""assistant"",""content"":""三级。""}]"', "conversation"),
        ("prompt,completion,label", "风多大？,三级。,False", "feedback"),
        ("text,label", "风多大？,False", "document"),
    ],
)  # fmt: skip
def test_cells_of_csv(tmp_path: Path, header: str, row: str, kind: str) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\n{row}\n", "utf-8")
    [found] = read(tmp_path / "x.csv")
    if kind == "document":
        assert (found["text"], orjson.loads(found["meta"])) == ("风多大？", {"label": "False"})
    elif kind == "feedback":
        assert (found["prompt"], found["answer"], found["label"]) == (TURN[:1], TURN[1:], False)
    else:
        assert (found["messages"], found["meta"], found["tools"]) == (TURN, None, None)


def test_an_answer_without_text_in_a_csv_file_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("instruction,input,output\n风多大？,,\n", "utf-8")
    assert [m["content"] for m in read(tmp_path / "x.csv", "conversation")[0]["messages"]] == ["风多大？", ""]
