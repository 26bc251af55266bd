"""Messages of every spelling; no key of one is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.errors import RecordError
from raylib.messages import message_lists, messages_array
from raylib.reading.roles import CALLS, ROLES
from raylib.reading.turns import MESSAGE_KEYS, turns_of

CALL = {"id": "c7", "type": "function", "function": {"name": "search", "arguments": {"q": "潮汐"}}}


def only(turn: dict[str, Any]) -> dict[str, Any]:
    [message] = turns_of([turn], "messages")
    return message


@pytest.mark.parametrize(("ours", "spelling"), [(role, word) for role, words in ROLES.items() for word in words])
def test_every_spelling_of_a_role(ours: str, spelling: str) -> None:
    expected = {"role": ours, "content": "话"}
    assert only({"role": spelling, "content": "话"}) == expected
    assert only({"from": spelling.upper(), "value": "话"}) == expected
    assert only({"speaker": f" {spelling.title()} ", "text": "话"}) == expected


@pytest.mark.parametrize("role", ["assistantx", "wizard", 5, None])
def test_an_unknown_role_is_named_with_the_nearest(role: object) -> None:
    with pytest.raises(RecordError, match=r"messages\[0\]") as caught:
        turns_of([{"role": role, "content": "话"}], "messages")
    assert caught.value.reason == ("wrong_type" if role is None else "wrong_value")
    if role == "assistantx":
        assert caught.value.detail.endswith("unknown role 'assistantx'; did you mean 'assistant'?")


@pytest.mark.parametrize("key", MESSAGE_KEYS["reasoning_content"])
def test_reasoning_has_its_own_field(key: str) -> None:
    assert only({"role": "assistant", "content": "二", key: "一加一"}) == {
        "role": "assistant", "content": "二", "reasoning_content": "一加一",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content", ["<think>先想</think>后答", "<think>\n先想\n</think>\n\n后答", "\n<think>先想\n</think>后答"]
)
def test_a_thought_at_the_beginning_of_an_answer_is_reasoning(content: str) -> None:
    expected = {"role": "assistant", "content": "后答", "reasoning_content": "先想"}
    assert only({"role": "assistant", "content": content}) == expected
    assert only({"from": "gpt", "value": content}) == expected
    assert turns_of(["问", content], "data")[1] == expected
    assert only({"role": "assistant", "content": content, "reasoning": "先想"}) == expected


@pytest.mark.parametrize("content", ["<think>没有结束", "先说 <think>再想</think>", "</think>后答"])
def test_other_thoughts_stay_where_they_are(content: str) -> None:
    assert only({"role": "assistant", "content": content}) == {"role": "assistant", "content": content}
    thought = "<think>x</think>y"
    assert only({"role": "user", "content": thought}) == {"role": "user", "content": thought}


@pytest.mark.parametrize("calls", [[CALL], '[{"id":"c7","type":"function","function":{"name":"search","arguments":'
                                           '{"q":"潮汐"}}}]'])  # fmt: skip
@pytest.mark.parametrize("content", [None, "", "我查一下。"])
def test_calls_of_tools_are_kept(calls: object, content: str | None) -> None:
    message = only({"role": "assistant", "content": content, "tool_calls": calls})
    assert message == {"role": "assistant", "content": content, "tool_calls": [CALL]}


def test_older_and_other_spellings_of_calls() -> None:
    function = {"name": "search", "arguments": '{"q": "潮汐"}'}
    expected = [{"type": "function", "function": function}]
    older = only({"role": "assistant", "content": None, "function_call": function})
    assert older == {"role": "assistant", "content": None, "tool_calls": expected}
    for role in CALLS:
        said = only({"from": role, "value": '{"name": "search", "arguments": "{\\"q\\": \\"潮汐\\"}"}'})
        assert said == older
    two = only({"from": "function_call", "value": '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'})
    assert [call["function"]["name"] for call in two["tool_calls"]] == ["a", "b"]
    thinking = only({"from": "function_call", "value": '<think>要查</think>\n{"name": "a", "arguments": {}}'})
    assert thinking["reasoning_content"] == "要查"


@pytest.mark.parametrize("value", ["查天气", "{}", "[]", '{"arguments": 1}', "{"])
def test_a_call_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(RecordError, match=r"conversations\[0\]: a function_call should be JSON") as caught:
        turns_of([{"from": "function_call", "value": value}], "conversations")
    assert caught.value.reason == "wrong_value"


@pytest.mark.parametrize("key", MESSAGE_KEYS["loss"])
@pytest.mark.parametrize(("value", "learnt"), [(True, True), (0, False), (1.0, True), ("False", False), ("1", True)])
def test_a_turn_is_learnt_or_not(key: str, value: object, learnt: bool) -> None:
    assert only({"role": "assistant", "content": "答", key: value})["loss"] is learnt


@pytest.mark.parametrize(
    ("turn", "reason", "names"),
    [
        ({"weight": 0.5}, "wrong_value", "messages[0].weight is 0.5; a turn is learnt"),
        ({"weight": 1, "train": False}, "wrong_value", "messages[0].train"),
        ({"tool_calls": "{"}, "wrong_type", "messages[0].tool_calls is not JSON"),
        ({"tool_calls": ["x"]}, "wrong_type", "messages[0].tool_calls"),
        ({"function_call": "x"}, "wrong_type", "messages[0].function_call"),
        ({"name": ["x"]}, "wrong_type", "messages[0].name"),
        ({"reasoning_content": ["x"]}, "wrong_type", "reasoning_content"),
        ({"content": None}, "missing_field", "messages[0].content"),
        ({"content": None, "tool_calls": []}, "missing_field", "messages[0].content"),
        ({"content": 5}, "wrong_type", "messages[0].content"),
        ({"content": [{"type": "image_url", "image_url": "x"}]}, "wrong_type", "only text content parts"),
        ({"mark\ud800": 1}, "bad_field", "messages[0]"),
    ],
)
def test_what_a_message_cannot_hold(turn: dict[str, Any], reason: str, names: str) -> None:
    with pytest.raises(RecordError) as caught:
        turns_of([{"role": "assistant", "content": "答", **turn}], "messages")
    assert caught.value.reason == reason
    assert names in caught.value.detail


def test_an_empty_answer_stays_empty() -> None:
    assert only({"role": "assistant", "content": ""}) == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("turn", "texts"),
    [
        ({"human": "问", "assistant": "答"}, ["问", "答"]),
        ({"system": "你是老师", "input": "问", "output": "答"}, ["你是老师", "问", "答"]),
        ({"system": "你是老师", "input": "", "output": "答"}, ["你是老师", "答"]),
        (["问", "答"], ["问", "答"]),
    ],
)
def test_a_turn_that_is_a_question_and_its_answer(turn: object, texts: list[str]) -> None:
    assert [m["content"] for m in turns_of([turn], "conversation")] == texts


values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text("甲ab<\n", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("xy", min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
keys = st.sampled_from([*(k for names in MESSAGE_KEYS.values() for k in names), "extra", "id", "mark", "时间"])


def found_in(value: object, place: object) -> bool:
    """Whether a value is in a nested one."""
    if value == place and type(value) is type(place):
        return True
    inner = place.values() if isinstance(place, dict) else place if isinstance(place, list) else ()
    return any(found_in(value, item) for item in inner)


@given(st.dictionaries(keys, values | st.none(), max_size=6), st.sampled_from(["user", "assistant", "tool"]))
def test_no_key_of_a_message_is_lost(others: dict[str, Any], role: str) -> None:
    turn = {"role": role, "content": "话", **{k: v for k, v in others.items() if k != "role"}}
    try:
        messages = turns_of([turn], "messages")
    except RecordError:
        return
    [[stored]] = message_lists(messages_array([messages]))
    again = turns_of([stored], "messages")
    assert message_lists(messages_array([again])) == [[stored]], "what was stored is read as it was"
    for key, value in turn.items():
        if key in (*MESSAGE_KEYS["loss"], "tool_call_id", "name", "extra") or value in (None, [], ""):
            continue
        if isinstance(value, list) and key == "content":
            continue
        assert found_in(value, stored), key
