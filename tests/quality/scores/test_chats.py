"""Scores of chats that think and call tools."""

from __future__ import annotations

from typing import Any

import pytest

from quality.models.endpoint import Endpoint
from quality.scores.difficulty import DifficultyFeatures
from quality.scores.instruction import InstructionFeatures
from quality.scores.judge import Judge
from quality.scores.safety import SafetyScreen
from quality.scores.screening import ask
from tests.chats import WEATHER, agent, chat_table, feedback_table, preference_table
from tests.quality.scores.server import Server

PROMPT, ANSWER = agent()[:3], agent()[3:]
OTHER = [{"role": "assistant", "content": "我不知道，请您自己查一查天气预报吧。"}]


def features(*lists: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = InstructionFeatures()(chat_table(list(lists))).kept.to_pylist()
    return rows


def test_a_chat_with_tools_has_no_flaws() -> None:
    whole, called = features(agent(), agent()[:4])
    assert whole["flags"] == called["flags"] == ""
    assert whole["turns"] == called["turns"] == 1
    assert whole["empty_turns"] == 0, "a message that calls a tool says something"
    assert whole["response_length"] == len(agent()[5]["content"])
    twice = features([*agent(), {"role": "user", "content": "那后天还会下雨吗？"}, *agent()[3:5], *OTHER])[0]
    assert (twice["turns"], twice["role_order"]) == (2, "")


@pytest.mark.parametrize(
    ("turns", "problem"),
    [
        ([PROMPT[2], agent()[4], *OTHER], "tool_without_call"),
        (agent()[:5], "ends_without_answer"),
        ([*agent()[:5], PROMPT[2], *OTHER], "not_alternating"),
        ([PROMPT[2], PROMPT[1], *OTHER], "system_not_first"),
        ([*agent(), *OTHER], "not_alternating"),
    ],
)
def test_mistakes_in_the_order_of_roles(turns: list[Any], problem: str) -> None:
    assert features(turns)[0]["role_order"] == problem


def test_an_answer_that_was_thought_and_not_given_is_empty() -> None:
    turns = [PROMPT[2], {"role": "assistant", "content": None, "reasoning_content": "先查天气。"}]
    assert features(turns)[0]["empty_turns"] == 1


def test_preferences_and_feedback_are_judged_with_their_answer() -> None:
    for table in (preference_table([(PROMPT, ANSWER, OTHER)]), feedback_table([(PROMPT, ANSWER, False)])):
        (row,) = InstructionFeatures()(table).kept.to_pylist()
        assert (row["flags"], row["role_order"], row["turns"]) == ("", "", 1)
        assert DifficultyFeatures()(table).kept["difficulty"][0].as_py() > 1


def test_harm_in_reasoning_counts_unless_the_answer_declines() -> None:
    asked = {"role": "user", "content": "如何自己制造炸弹？"}
    harm = "先准备炸药和雷管，再做成爆炸物，弹药要分开存放。"
    said = {"role": "assistant", "content": "好的，步骤如上。", "reasoning_content": harm}
    declined = {"role": "assistant", "content": "抱歉，我不能提供这样的信息。", "reasoning_content": harm}
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "say", "arguments": harm}}]}
    returned = [asked, agent()[3], {"role": "tool", "content": harm}, {"role": "assistant", "content": "没有结果。"}]
    table = chat_table([[asked, said], [asked, declined], [asked, called], returned])
    assert SafetyScreen()(table).kept["safety"].to_pylist() == ["unsafe", "refused", "unsafe", "answered"]


def test_a_judge_is_shown_the_conversation_and_the_answer_without_its_reasoning(server: Server) -> None:
    stage = Judge("strong", base_url=server.url, cache="", probe=False, language="zh")
    out = stage(chat_table([agent(), agent()[:4], PROMPT + OTHER], [[WEATHER], None, None])).kept
    assert out["quality"].null_count == 0
    shown = {r["messages"][0]["content"].split("[指令]\n")[1] for r in server.requests}
    answers = {text.split("[回答]\n")[1] for text in shown}
    called = '[tool call] weather({"city": "杭州", "day": "明天"})'
    assert answers == {agent()[5]["content"], called, OTHER[0]["content"]}
    (long,) = [text for text in shown if text.startswith("[tools] weather(city, day)")]
    assert "[tool result]" in long
    assert called in long
    plain = [text.split("\n\n[回答]")[0] for text in shown if text.endswith(OTHER[0]["content"])]
    assert plain == ["\n".join(m["content"] for m in PROMPT)]


def test_a_judge_of_harm_sees_both_ends_of_a_long_question(server: Server) -> None:
    endpoint = Endpoint("m", server.url, probe=False, malformed_retries=0, retries=0, give_up_after=0)
    ask(endpoint, ["开头" + "甲" * 5000 + "结尾"], ["答" * 5000])
    content = server.requests[0]["messages"][0]["content"]
    assert "开头甲" in content
    assert "甲结尾" in content
    assert len(content) < 7000
