"""Coercion: every known layout in, and back out again."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.errors import RecordError
from raylib.reading.coercion import coerce
from raylib.reading.layouts import guess_kind, layout
from raylib.schema import SCHEMAS, map_texts, text_of
from raylib.storage.layouts import to_layout

TURN = [{"role": "user", "content": "你好？"}, {"role": "assistant", "content": "你好！"}]


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"id": 1, "data": ["你好？", "你好！"]}, "data"),
        ({"instruction": "你好？", "input": "", "output": "你好！"}, "alpaca"),
        ({"conversations": [{"from": "human", "value": "你好？"}, {"from": "gpt", "value": "你好！"}]}, "sharegpt"),
        ({"messages": TURN}, "openai"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "你好？"}]}, TURN[1]]}, "openai"),
        ({"question": "你好？", "answer": "你好！"}, "qa"),
        ({"prompt": "你好？", "response": "你好！"}, "prompt"),
    ],
)
def test_conversation_layouts(raw: dict[str, Any], found: str) -> None:
    assert layout(raw) == found
    assert guess_kind(raw) == "conversation"
    assert coerce(raw, "conversation")["messages"] == TURN


def test_alpaca_input_history_and_system() -> None:
    raw = {"instruction": "翻译", "input": "你好", "output": "hi", "history": [["问", "答"]], "system": "你是译者"}
    messages: Any = coerce(raw, "conversation")["messages"]
    roles = [(m["role"], m["content"]) for m in messages]
    assert roles == [
        ("system", "你是译者"), ("user", "问"), ("assistant", "答"), ("user", "翻译\n你好"), ("assistant", "hi"),
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["rejected", "reject"])
@pytest.mark.parametrize(
    "raw",
    [
        {"prompt": "你好？", "chosen": "你好！"},
        {"prompt": [TURN[0]], "chosen": [TURN[1]]},
        {"conversations": [{"from": "human", "value": "你好？"}], "chosen": {"from": "gpt", "value": "你好！"}},
        {"chosen": TURN},
    ],
)
def test_preference_layouts(raw: dict[str, Any], key: str) -> None:
    rejected: Any = [TURN[0], {"role": "assistant", "content": "哼"}] if "prompt" not in raw else "哼"
    if "conversations" in raw:
        rejected = {"from": "gpt", "value": "哼"}
    row = coerce({**raw, key: rejected}, "preference")
    answers = [{"role": "assistant", "content": text} for text in ("你好！", "哼")]
    assert (row["prompt"], row["chosen"], row["rejected"]) == ([TURN[0]], answers[:1], answers[1:])


@pytest.mark.parametrize(
    ("raw", "kind", "reason", "names"),
    [
        ({"messages": [{"role": "wizard", "content": "x"}]}, "conversation", "wrong_value", "wizard"),
        ({"messages": [{"role": "user", "content": 5}]}, "conversation", "wrong_type", "messages[0]"),
        ({"data": "x"}, "conversation", "unknown_layout", "data"),
        ({"data": [1]}, "conversation", "wrong_type", "data[0]"),
        ({"conversations": "x"}, "conversation", "wrong_type", "conversations"),
        ({"instruction": None, "output": "x"}, "conversation", "unknown_layout", "instruction"),
        ({"chosen": "a", "rejected": "b"}, "preference", "no_prompt", "prompt"),
        ({"prompt": "p", "chosen": "a"}, "preference", "missing_field", "rejected"),
        ({"prompt": "p", "chosen": 1, "rejected": "b"}, "preference", "wrong_type", "chosen"),
        ({"nothing": 1}, "document", "missing_field", "nothing"),
        ({"messages": [{"role": "user", "content": " "}]}, "conversation", "empty_text", "no text"),
    ],
)
def test_errors_name_the_field(raw: dict[str, Any], kind: str, reason: str, names: str) -> None:
    with pytest.raises(RecordError) as caught:
        coerce(raw, kind)
    assert caught.value.reason == reason
    assert names in caught.value.detail


contents = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)
turns = st.lists(st.tuples(contents, contents), min_size=1, max_size=4).filter(
    lambda pairs: any(c.strip() for pair in pairs for c in pair)
)


@given(turns=turns, target=st.sampled_from(["data", "sharegpt", "openai"]))
def test_layouts_round_trip(turns: list[tuple[str, str]], target: str) -> None:
    messages = [
        m for q, a in turns for m in ({"role": "user", "content": q}, {"role": "assistant", "content": a})
    ]  # fmt: skip
    row = {"id": "1", "source": "s", "messages": messages}
    again = coerce(to_layout(row, target), "conversation")
    assert again["messages"] == messages
    assert again["id"] == "1"


def test_alpaca_holds_one_turn() -> None:
    row = {"id": "1", "source": "s", "messages": TURN}
    assert to_layout(row, "alpaca")["output"] == "你好！"
    with pytest.raises(RecordError, match="one turn"):
        to_layout({**row, "messages": TURN * 2}, "alpaca")


def large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def test_text_and_rewriting_of_every_kind() -> None:
    rows = {
        "document": {"id": "1", "text": "甲"},
        "conversation": {"id": "1", "messages": TURN},
        "preference": {"id": "1", "prompt": [TURN[0]], "chosen": [TURN[1]], "rejected": [TURN[1]]},
        "feedback": {"id": "1", "prompt": [TURN[0]], "answer": [TURN[1]], "label": True},
        "safety": {"id": "1", "messages": TURN, "category": "x"},
    }
    for kind, row in rows.items():
        table = pa.Table.from_pylist([row, row], schema=SCHEMAS[kind])
        longer = map_texts(table, lambda texts: pc.binary_join_element_wise(texts, large("！"), large("")))
        assert longer.schema == table.schema
        before, after = text_of(table).to_pylist(), text_of(longer).to_pylist()
        assert [t.replace("！", "") for t in before] == [t.replace("！", "") for t in after]
        assert before != after
        assert map_texts(table, lambda texts: texts) is table
