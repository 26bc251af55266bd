"""Chats with everything that messages may hold, for tests."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from raylib.messages import messages_array
from raylib.schema import SCHEMAS

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "查询一个城市的天气",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "day": {"type": "string"}}},
    },
}


def call(name: str = "weather", identity: str = "call_1", **arguments: Any) -> dict[str, Any]:
    text = json.dumps(arguments, ensure_ascii=False)
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": text}}


def agent(question: str = "杭州明天需要带伞吗？", city: str = "杭州") -> list[dict[str, Any]]:
    """A conversation that thinks, calls a tool and answers, with flags and keys of its own."""
    return [
        {"role": "system", "content": "你是一个可靠的天气助手，回答要简短。"},
        {"role": "developer", "content": "只回答与天气有关的问题。"},
        {"role": "user", "content": question, "name": "李雷"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": f"用户想知道{city}明天的天气，需要先查询天气预报。",
            "tool_calls": [call(city=city, day="明天")],
            "loss": False,
        },
        {"role": "tool", "content": '{"weather": "小雨", "high": 21}', "tool_call_id": "call_1", "name": "weather"},
        {
            "role": "assistant",
            "content": f"{city}明天有小雨，气温最高二十一度，出门请带好雨伞。",
            "reasoning_content": "查询结果是小雨，所以应该提醒用户带好雨伞。",
            "loss": True,
            "annotations": [{"kind": "url", "at": 3}],
        },
    ]


def chat_table(lists: list[Any], tools: list[Any] | None = None) -> pa.Table:
    """Conversations as a table."""
    offered = tools or [None] * len(lists)
    return pa.table(
        {
            "id": [str(i) for i in range(len(lists))],
            "messages": messages_array(lists),
            "tools": pa.array([None if t is None else json.dumps(t) for t in offered], pa.large_string()),
            "source": [""] * len(lists),
            "meta": pa.nulls(len(lists), pa.large_string()),
        },
        schema=SCHEMAS["conversation"],
    )


def feedback_table(rows: list[tuple[list[Any], list[Any], bool]]) -> pa.Table:
    """Feedback as a table: prompt, answer, label."""
    return pa.table(
        {
            "id": [str(i) for i in range(len(rows))],
            "prompt": messages_array([r[0] for r in rows]),
            "answer": messages_array([r[1] for r in rows]),
            "label": [r[2] for r in rows],
            "tools": pa.nulls(len(rows), pa.large_string()),
            "source": [""] * len(rows),
            "meta": pa.nulls(len(rows), pa.large_string()),
        },
        schema=SCHEMAS["feedback"],
    )


def preference_table(rows: list[tuple[list[Any], list[Any], list[Any]]]) -> pa.Table:
    """Preferences as a table: prompt, chosen, rejected."""
    return pa.table(
        {
            "id": [str(i) for i in range(len(rows))],
            **{name: messages_array([r[i] for r in rows]) for i, name in enumerate(("prompt", "chosen", "rejected"))},
            "tools": pa.nulls(len(rows), pa.large_string()),
            "source": [""] * len(rows),
            "meta": pa.nulls(len(rows), pa.large_string()),
        },
        schema=SCHEMAS["preference"],
    )


def two_fields(lists: list[Any]) -> pa.Array:
    """Messages as an earlier version wrote them, with role and content alone."""
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))
    return pa.array([[{k: m.get(k) for k in ("role", "content")} for m in turns] for turns in lists], kind)
