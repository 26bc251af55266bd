"""Conversations of every layout, their system messages and tools; records are read as a whole."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.errors import RecordError
from raylib.messages import message_lists, messages_array
from raylib.reading.coercion import REASONS, coerce
from raylib.reading.layouts import guess_kind, layout

ASKED = {"role": "user", "content": "潮汐从何而来？"}
ANSWERED = {"role": "assistant", "content": "来自月亮和太阳的引力。"}
THOUGHT = {**ANSWERED, "reasoning_content": "先想引力。"}
Q, A, R = "潮汐从何而来？", "来自月亮和太阳的引力。", "先想引力。"


def moss(text: str, mark: str, end: str) -> str:
    return f"<|{mark}|>: {text}<{end}>\n"


@pytest.mark.parametrize(
    ("raw", "found", "messages"),
    [
        ({"conversation": [{"human": Q, "assistant": A}]}, "sharegpt", [ASKED, ANSWERED]),
        ({"dialogue": [{"speaker": "用户", "text": Q}, {"speaker": "助手", "text": A}]}, "sharegpt", [ASKED, ANSWERED]),
        ({"messages": orjson.dumps([ASKED, ANSWERED]).decode()}, "openai", [ASKED, ANSWERED]),
        ({"input": Q, "reasoning_content": R, "content": A}, "r1", [ASKED, THOUGHT]),
        ({"question": Q, "reasoning": R, "answer": A}, "r1", [ASKED, THOUGHT]),
        ({"input": Q, "reasoning": R, "output": A}, "r1", [ASKED, THOUGHT]),
        ({"Question": Q, "Complex_CoT": R, "Response": A}, "r1", [ASKED, THOUGHT]),
        ({"instruction": Q, "output": f"<think>\n{R}\n</think>\n\n{A}"}, "alpaca", [ASKED, THOUGHT]),
        ({"kind": "科普", "input": Q, "target": A}, "firefly", [ASKED, ANSWERED]),
        ({"input": Q, "output": A}, "pair", [ASKED, ANSWERED]),
        ({"id": 3, "问": Q, "答": A, "元数据": {"赞": 5}, "时间": "20240101"}, "mnbvc", [ASKED, ANSWERED]),
        ({"prompt": [ASKED], "completion": [ANSWERED]}, "prompt", [ASKED, ANSWERED]),
        (
            {"instruction": f"Human: 你好\nAssistant:您好！\nHuman:{Q}\nAssistant:\n", "input": "", "output": A},
            "belle",
            [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好！"}, ASKED, ANSWERED],
        ),
        (
            {"chat": {"turn_1": {"Human": moss(Q, "Human", "eoh"), "MOSS": moss(A, "MOSS", "eom"),
                                 "Inner Thoughts": moss("None", "Inner Thoughts", "eot"),
                                 "Commands": moss("None", "Commands", "eoc"),
                                 "Tool Responses": moss("None", "Results", "eor")}}},
            "moss", [ASKED, ANSWERED],
        ),
    ],
)  # fmt: skip
def test_layouts(raw: dict[str, Any], found: str, messages: list[Any]) -> None:
    assert layout(raw) == found
    assert guess_kind(raw) == "conversation"
    assert coerce(raw, "conversation")["messages"] == messages


def test_what_is_no_message_stays_in_meta() -> None:
    row = coerce({"问": Q, "答": A, "来源": "百科", "元数据": {"赞": 5}, "时间": "20240101"}, "conversation")
    assert row["source"] == "百科"
    assert orjson.loads(str(row["meta"])) == {"元数据": {"赞": 5}, "时间": "20240101"}
    assert orjson.loads(str(coerce({"kind": "科普", "input": Q, "target": A}, "conversation")["meta"])) == {
        "kind": "科普"
    }


def test_turns_of_moss_in_their_order_with_tools() -> None:
    turns = {f"turn_{i}": {"Human": f"问{i}", "MOSS": f"答{i}"} for i in (10, 2, 1)}
    turns["turn_2"] |= {
        "Inner Thoughts": "<|Inner Thoughts|>: 要查<eot>\n",
        "Commands": '<|Commands|>: Search("月亮 (天体)"), Calculate("1+1")<eoc>\n',
        "Tool Responses": "<|Results|>: 三十八万公里<eor>\n",
    }
    row = coerce({"meta_instruction": "你是 MOSS", "chat": turns}, "conversation")
    messages: Any = row["messages"]
    assert [m["role"] for m in messages] == [
        "system", "user", "assistant", "user", "assistant", "tool", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert messages[4]["reasoning_content"] == "要查"
    assert [c["function"]["name"] for c in messages[4]["tool_calls"]] == ["Search", "Calculate"]
    assert messages[4]["tool_calls"][0]["function"]["arguments"] == {"input": "月亮 (天体)"}
    assert messages[5] == {"role": "tool", "content": "三十八万公里"}
    assert messages[8]["content"] == "答10"


@pytest.mark.parametrize("field", ["tools", "functions"])
@pytest.mark.parametrize("as_text", [False, True])
def test_tools_are_a_column(field: str, as_text: bool) -> None:
    tools = [{"name": "tide", "parameters": {}}, {"type": "function", "function": {"name": "moon"}}]
    given = orjson.dumps(tools).decode() if as_text else tools
    row = coerce({"messages": [ASKED, ANSWERED], field: given}, "conversation")
    assert orjson.loads(str(row["tools"])) == [{"type": "function", "function": tools[0]}, tools[1]]
    assert row["meta"] is None
    assert coerce({"messages": [ASKED, ANSWERED], field: ""}, "conversation")["tools"] is None


@pytest.mark.parametrize("tools", ["[", "查天气", 5, ["x"], [5]])
def test_bad_tools_are_refused(tools: object) -> None:
    with pytest.raises(RecordError, match="tools") as caught:
        coerce({"messages": [ASKED, ANSWERED], "tools": tools}, "conversation")
    assert caught.value.reason == "wrong_type"


@pytest.mark.parametrize("field", ["system", "system_prompt"])
def test_system_prompts(field: str) -> None:
    system = {"role": "system", "content": "只说中文"}
    row = coerce({"messages": [ASKED, ANSWERED], field: "只说中文"}, "conversation")
    assert (row["messages"], row["meta"]) == ([system, ASKED, ANSWERED], None)
    same = coerce({"messages": [system, ASKED, ANSWERED], field: "只说中文"}, "conversation")
    assert (same["messages"], same["meta"]) == ([system, ASKED, ANSWERED], None)
    other = coerce({"messages": [system, ASKED, ANSWERED], field: "说英文"}, "conversation")
    assert orjson.loads(str(other["meta"])) == {field: "说英文"}, "kept, as it is not used"


@pytest.mark.parametrize("kind", ["conversation", "safety"])
def test_null_is_absent(kind: str) -> None:
    fields = ("prompt", "chosen", "rejected", "instruction", "output", "conversations", "messages", "text", "label")
    union = dict.fromkeys([*fields, "history", "system", "tools", "category"])
    for there in ({"messages": [ASKED, ANSWERED]}, {"instruction": Q, "output": A}, {"data": [Q, A]}):
        row = coerce({**union, **there}, kind)
        assert (row["messages"], row["meta"]) == ([ASKED, ANSWERED], None)
    assert guess_kind({**union, "messages": [ASKED, ANSWERED]}) == "conversation"
    nulls = {"name": None, "tool_calls": None, "reasoning_content": None, "from": None, "value": None}
    assert coerce({"messages": [{**ASKED, **nulls}, {**ANSWERED, **nulls}]}, kind)["messages"] == [ASKED, ANSWERED]


def test_null_is_absent_in_documents() -> None:
    assert coerce({"text": None, "content": "山高月小"}, "document")["text"] == "山高月小"


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ({"instruct": Q, "output": A}, ["instruct, output", "alpaca", "'instruction' is missing"]),
        ({"message": [ASKED]}, ["message", "openai", "'messages' is missing"]),
        ({"chosen_by": 1, "input": Q}, ["chosen_by, input"]),
    ],
)
def test_an_unknown_layout_names_what_was_seen_and_the_nearest(raw: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(RecordError) as caught:
        coerce(raw, "conversation")
    assert caught.value.reason == "unknown_layout"
    assert all(name in caught.value.detail for name in names)


def test_a_preference_is_no_conversation() -> None:
    with pytest.raises(RecordError, match="kind preference") as caught:
        coerce({"messages": [ASKED], "chosen": A, "rejected": R}, "conversation")
    assert caught.value.reason == "preference"


names = st.sampled_from(
    [
        "messages", "conversations", "data", "chat", "instruction", "input", "output", "target", "question", "answer",
        "prompt", "completion", "response", "chosen", "rejected", "reasoning_content", "content", "text", "history",
        "system", "tools", "label", "kto_tag", "score", "时间", "source", "category", "rejected_response", "extra",
        "title",
    ]
)  # fmt: skip
plain = st.sampled_from(["甲", "乙丙", "", "<think>甲</think>乙"])
anything = st.one_of(
    plain,
    st.booleans(),
    st.integers(2, 9),
    st.just([{"role": "user", "content": "问"}, {"role": "assistant", "content": "答", "mark": 7}]),
    st.just([{"from": "human", "value": "问二"}, {"from": "gpt", "value": "答二", "weight": 1}]),
    st.just([{"role": "assistant", "content": "独答"}]),
    st.just([["问", "答"]]),
    st.just(["问", "答"]),
)


def leaves(value: object) -> set[str]:
    """All strings and numbers in a value that are no flags or roles."""
    if isinstance(value, dict):
        return set().union(*(leaves(v) for k, v in value.items() if k not in ("role", "from", "weight")))
    if isinstance(value, list):
        return set().union(*map(leaves, value))
    if isinstance(value, bool) or value is None:
        return set()
    return {part for part in str(value).replace("<think>", "|").replace("</think>", "|").split("|") if part}


def coerced(raw: dict[str, Any], kind: str) -> dict[str, Any] | RecordError:
    try:
        return coerce(raw, kind)
    except RecordError as error:
        return error


@given(
    st.dictionaries(names, anything, min_size=1, max_size=6),
    st.sampled_from(["conversation", "preference", "feedback"]),
)
def test_no_field_of_a_record_is_lost(raw: dict[str, Any], kind: str) -> None:
    row = coerced(raw, kind)
    if isinstance(row, RecordError):
        assert row.reason in REASONS
        assert row.detail
        return
    columns = [row[n] for n in ("messages", "prompt", "chosen", "rejected", "answer") if n in row]
    stored = [message_lists(messages_array([column])) for column in columns]
    seen = str(stored) + str(row)
    assert all(leaf in seen for leaf in leaves(raw)), seen
