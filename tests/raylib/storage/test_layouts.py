"""Records written in a layout are read back as they were, or are refused."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pyarrow as pa
import pytest
import zstandard

from raylib.errors import ParameterError, RecordError
from raylib.messages import messages_array, rows_of
from raylib.reading.coercion import coerce
from raylib.schema import SCHEMAS
from raylib.storage.layouts import WRITTEN, FitsLayout, json_row, to_layout
from raylib.storage.writers import TableWriter

CALL = {"type": "function", "function": {"name": "wind", "arguments": {"at": "港口"}}}
SYSTEM = {"role": "system", "content": "少说"}
PLAIN = [{"role": "user", "content": "风多大？"}, {"role": "assistant", "content": "三级。"}]
LONGER = [*PLAIN, {"role": "user", "content": "雨呢？"}, {"role": "assistant", "content": "没有。"}]
THOUGHT = [PLAIN[0], {**PLAIN[1], "reasoning_content": "看风向标。"}]
RICH = [
    {"role": "developer", "content": "用工具"},
    {**PLAIN[0], "name": "渔民", "mark": {"x": 1}},
    {"role": "assistant", "content": None, "reasoning_content": "要查", "tool_calls": [CALL]},
    {"role": "tool", "content": "3", "tool_call_id": "c1"},
    {"role": "assistant", "content": "我再查。", "tool_calls": [{**CALL, "id": "c2"}], "loss": False},
    {"role": "tool", "content": "4", "value": "四"},
    {"role": "assistant", "content": "四级。"},
]
TOOLS = [{"type": "function", "function": {"name": "wind"}}]


def table_of(kind: str, **columns: Any) -> pa.Table:
    row: dict[str, Any] = {"id": "7", "source": "港", **columns}
    arrays = []
    for field in SCHEMAS[kind]:
        value = row.get(field.name)
        if field.name == "tools" and value is not None:
            value = orjson.dumps(value).decode()
        arrays.append(messages_array([value]) if isinstance(value, list) else pa.array([value], field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMAS[kind])


def again(kind: str, target: str, **columns: Any) -> dict[str, Any]:
    """The record after it was written in a layout as JSON and read."""
    [row] = rows_of(table_of(kind, **columns))
    return coerce(orjson.loads(orjson.dumps(json_row(row, target))), kind)


@pytest.mark.parametrize("target", ["", *WRITTEN])
@pytest.mark.parametrize("messages", [PLAIN, [SYSTEM, *PLAIN], LONGER, THOUGHT, RICH])
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_conversations_come_back_or_do_not_fit(target: str, messages: list[Any], tools: Any) -> None:
    table = table_of("conversation", messages=messages, tools=tools)
    if target and len(FitsLayout(target)(table).kept) == 0:
        assert target not in ("openai", "sharegpt")
        return
    row = again("conversation", target, messages=messages, tools=tools)
    assert (row["messages"], row["id"], row["source"]) == (messages, "7", "港")
    assert (row["tools"] is None) == (tools is None)


@pytest.mark.parametrize(
    ("target", "messages", "tools", "names"),
    [
        ("alpaca", LONGER, None, "one turn, the record has 2"),
        ("alpaca", THOUGHT, None, "reasoning_content of message 1"),
        ("data", PLAIN, TOOLS, "'data' cannot hold tools"),
        ("data", RICH, None, "name, mark of message 1"),
        ("data", PLAIN[:1], None, "do not alternate"),
        ("r1", PLAIN, None, "no reasoning_content"),
        ("belle", [{**LONGER[0], "content": "甲\nHuman:乙"}, *LONGER[1:]], None, "marks"),
    ],
)
def test_what_does_not_fit_is_named(target: str, messages: list[Any], tools: Any, names: str) -> None:
    outcome = FitsLayout(target)(table_of("conversation", messages=messages, tools=tools))
    [reject] = rows_of(outcome.rejected)
    assert (reject["reason"], names in str(reject["detail"])) == ("wrong_layout", True), reject["detail"]


@pytest.mark.parametrize("target", ["", "openai", "sharegpt", "data", "alpaca"])
def test_preferences_come_back(target: str) -> None:
    columns: dict[str, Any] = {
        "prompt": [SYSTEM, PLAIN[0]],
        "chosen": [PLAIN[1]],
        "rejected": [{**PLAIN[1], "content": "无。"}],
    }
    row = again("preference", target, **columns)
    assert {name: row[name] for name in columns} == columns
    if target in ("", "openai", "sharegpt"):
        columns["chosen"] = RICH[2:]
        row = again("preference", target, **columns)
        assert {name: row[name] for name in columns} == columns


@pytest.mark.parametrize("target", ["", "openai", "sharegpt", "data", "alpaca"])
def test_feedback_comes_back(target: str) -> None:
    columns = {"prompt": [SYSTEM, PLAIN[0]], "answer": [PLAIN[1]], "label": False}
    row = again("feedback", target, **columns)
    assert {name: row[name] for name in columns} == columns


def test_a_kind_that_a_layout_has_no_form_for() -> None:
    [row] = rows_of(table_of("feedback", prompt=[PLAIN[0]], answer=[PLAIN[1]], label=True))
    with pytest.raises(RecordError, match="not records of kind feedback"):
        to_layout(row, "moss")
    with pytest.raises(ParameterError, match="valid: data, alpaca"):
        to_layout(row, "csv")


def test_lines_hold_only_the_keys_that_messages_have() -> None:
    stream = io.BytesIO()
    writer = TableWriter(stream, "jsonl")
    table = table_of("conversation", messages=RICH, tools=TOOLS)
    writer.write(table)
    writer.close(table)
    line = zstandard.ZstdDecompressor().decompressobj().decompress(stream.getvalue())
    assert orjson.loads(line) == {"id": "7", "messages": RICH, "tools": TOOLS, "source": "港"}


def test_the_category_of_a_safety_record_is_written() -> None:
    row = coerce({"prompt": "如何偷鱼？", "category": "犯罪"}, "safety")
    assert json_row(row, "openai")["category"] == "犯罪"
