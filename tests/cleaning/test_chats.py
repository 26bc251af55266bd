"""Cleaning of chats changes texts and nothing else: reasoning, calls of tools and all other keys stay."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleaning import rules
from cleaning.calls import map_arguments
from raylib.messages import message_lists
from raylib.recipe import Recipe, source_chain
from raylib.recipe.chains import RECIPES, source_names
from raylib.schema import map_texts
from raylib.stage import LocalStage, stage_info
from tests.chats import WEATHER, agent, call, chat_table, two_fields

TEXTS = ("content", "reasoning_content")
SPEAKS = st.text(alphabet="天气很好。 \n\u3000，a1!（）&;<b>", max_size=12)
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "content": st.none() | SPEAKS,
    "reasoning_content": SPEAKS,
    "tool_calls": st.lists(
        st.builds(lambda name, city: call(name, city=city), st.sampled_from(["f", "g"]), SPEAKS), max_size=2
    ),
    "tool_call_id": st.sampled_from(["c1", "c2"]),
    "name": st.sampled_from(["甲", "b"]),
    "loss": st.booleans(),
    "weight": st.integers(0, 9) | SPEAKS | st.lists(SPEAKS, max_size=2),
}
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
messages = st.builds(
    lambda role, rest: {"role": role, "content": None, **rest}, ROLES, st.fixed_dictionaries({}, optional=KEYS)
)
chats = st.lists(st.lists(messages, max_size=4), min_size=1, max_size=3)


def ready_chains() -> dict[str, list[LocalStage]]:
    """The cleaning rules of each ready chain and recipe."""
    chains = {name: list(source_chain(name)) for name in source_names()}
    chains |= {name: list(Recipe.from_file(RECIPES / f"{name}.yaml").stages) for name in ("pretrain_zh", "sft_zh")}
    return {
        name: [stage_info(s.name).make(**s.parameters) for s in specs if s.name in rules.__all__]
        for name, specs in chains.items()
    }


CHAINS = ready_chains()


def bones(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages without what their texts say; whether there is a text stays."""
    return [{k: v if k not in TEXTS or v is None else "" for k, v in m.items()} for m in turns]


def turns_of(table: pa.Table) -> list[Any]:
    """Messages of the first record."""
    return list(message_lists(table["messages"])[0])


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_a_ready_chain_changes_texts_alone(name: str) -> None:
    table = chat_table([agent(), agent("上海后天会不会下雪呢？", "上海"), agent()[:4]], [[WEATHER], None, [WEATHER]])
    before = {row["id"]: row for row in table.to_pylist()}
    turns = dict(zip(table["id"].to_pylist(), message_lists(table["messages"]), strict=True))
    for stage in CHAINS[name]:
        outcome = stage(table)
        for part in (outcome.kept, outcome.rejected):
            for identity, after in zip(part["id"].to_pylist(), message_lists(part["messages"]), strict=True):
                assert bones(after) == bones(turns[identity]), stage
            for row in part.select(["id", "tools", "source"]).to_pylist():
                assert row["tools"] == before[row["id"]]["tools"]
        table = outcome.kept


REWRITING = ["normalise_characters", "remove_personal_data", "drop_repeated_lines", "to_simplified", "strip_markup"]


@pytest.mark.parametrize("name", REWRITING)
@given(lists=chats)
@settings(max_examples=40)
def test_every_key_of_every_message_stays(name: str, lists: list[list[dict[str, Any]]]) -> None:
    table = chat_table(lists)
    found = message_lists(getattr(rules, name)(table).kept["messages"])
    expected = message_lists(table["messages"])
    assert [[list(m) for m in turns] for turns in found] == [[list(m) for m in turns] for turns in expected]
    for after, before in zip(found, expected, strict=True):
        assert bones(after) == bones(before)
        for new, old in zip(after, before, strict=True):
            assert (new["content"] is None) == (old["content"] is None), "nothing said stays nothing, never a word"


PHONE, MAIL = "13912345678", "a.b@example.com"


def test_personal_data_is_masked_wherever_a_message_holds_it() -> None:
    turns = [
        {"role": "user", "content": "帮我订一间房。"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": f"客人的电话是{PHONE}。",
            "tool_calls": [
                call("book", "call_13912345678", 姓名="王小明", phone=PHONE, nights=2, guests=[{"mail": MAIL}]),
                {"id": "b", "type": "function", "function": {"name": "sms", "arguments": {"to": int(PHONE), "n": 1}}},
                {"id": "c", "type": "function", "function": {"name": "log", "arguments": f"no JSON: {MAIL}"}},
            ],
        },
        {"role": "tool", "content": json.dumps({"mail": MAIL}), "tool_call_id": "b"},
    ]
    table = chat_table([turns, []])
    _, answer, result = turns_of(rules.remove_personal_data(table).kept)
    assert answer["reasoning_content"] == "客人的电话是[手机]。"
    first, second, third = answer["tool_calls"]
    assert first["id"] == "call_13912345678", "ids of calls are what results are found by"
    arguments = json.loads(first["function"]["arguments"])
    assert arguments == {"姓名": "[姓名]", "phone": "[手机]", "nights": 2, "guests": [{"mail": "[邮箱]"}]}
    assert second["function"]["arguments"] == {"to": "[手机]", "n": 1}
    assert third["function"]["arguments"] == "no JSON: [邮箱]"
    assert result["content"] == '{"mail": "[邮箱]"}'


def test_arguments_without_personal_data_stay_byte_for_byte() -> None:
    inner = '{ \\"n\\":123456789012345678901234567890, \\"order_id\\": 13912345678}'
    odd = f'[ {{"function":{{"name":"f","arguments":"{inner}"}}}} ]'
    table = chat_table([[{"role": "assistant", "content": None, "tool_calls": odd}]])
    kept = rules.remove_personal_data(table).kept
    assert kept["messages"].to_pylist()[0][0]["tool_calls"] == odd
    large = call("f", n=10**40, mail=MAIL)
    table = chat_table([[{"role": "assistant", "content": None, "tool_calls": [large]}]])
    (turn,) = turns_of(rules.remove_personal_data(table).kept)
    assert json.loads(turn["tool_calls"][0]["function"]["arguments"]) == {"n": 10**40, "mail": "[邮箱]"}


@pytest.mark.parametrize("calls", ["[", "null", '"text"', "[[[[]]]]", "[1, null, true]", '{"name": "f"}', "[" * 3000])
def test_calls_of_another_shape_are_no_error(calls: str) -> None:
    table = chat_table([[{"role": "assistant", "content": None, "tool_calls": calls}]])
    changed = map_arguments(table, lambda texts: pa.array([t + "!" for t in texts.to_pylist()], texts.type))
    assert changed.num_rows == 1
    assert map_arguments(table, lambda texts: texts) is table


def test_rules_that_reject_see_reasoning_and_calls() -> None:
    quiet = [{"role": "user", "content": "好的，谢谢你的帮助。"}, {"role": "assistant", "content": "不客气，再见。"}]
    thought = [quiet[0], {**quiet[1], "reasoning_content": "法轮大法好" * 3}]
    called = [quiet[0], {**quiet[1], "tool_calls": [call("search", query="法轮大法好" * 3)]}]
    outcome = rules.length(chat_table([quiet, thought, called]), min=1, max=25)
    assert outcome.kept["id"].to_pylist() == ["0"]


def test_old_tables_are_cleaned_as_before() -> None:
    table = chat_table([agent()]).select(["id", "source", "meta"])
    table = table.append_column("messages", two_fields([agent()]))
    kept = rules.remove_personal_data(table).kept
    assert kept["messages"].to_pylist() == table["messages"].to_pylist()
    assert map_texts(table, lambda t: t) is table
