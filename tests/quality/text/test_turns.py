"""Instructions, responses and roles of conversations."""

from __future__ import annotations

import pyarrow as pa
import pytest

from quality.text.shown import answer_text, shortened, transcript
from quality.text.turns import exchanges, instruction_of, messages_of, reasoning_of_answers, response_of, roles_of
from tests.chats import WEATHER, agent, call, chat_table, feedback_table, preference_table, two_fields
from tests.quality.rows import conversation_table


def test_turns() -> None:
    table = conversation_table(
        [
            {
                "id": "1",
                "source": "",
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "c"},
                    {"role": "assistant", "content": "d"},
                ],
            },
            {"id": "2", "source": "", "messages": [{"role": "user", "content": "only"}]},
            {"id": "3", "source": "", "messages": []},
        ]
    )
    assert instruction_of(table).to_pylist() == ["s\na\nc", "only", ""]
    assert response_of(table).to_pylist() == ["d", "", ""]
    assert roles_of(table).to_pylist() == ["system user assistant user assistant", "user", ""]
    assert response_of(table.slice(1)).to_pylist() == ["", ""]


ASKED = "你是一个可靠的天气助手，回答要简短。\n只回答与天气有关的问题。\n杭州明天需要带伞吗？"
CALLED = '[tool call] weather({"city": "杭州", "day": "明天"})'


def test_what_tools_returned_was_not_asked_and_reasoning_was_not_answered() -> None:
    table = chat_table([agent(), agent()[:4], agent()[:5]])
    assert instruction_of(table).to_pylist() == [ASKED] * 3
    assert response_of(table).to_pylist() == [agent()[5]["content"], CALLED, CALLED]
    assert reasoning_of_answers(table)[0] == agent()[5]["reasoning_content"]
    found = list(exchanges(table))
    assert [e.instruction for e in found] == instruction_of(table).to_pylist()
    assert [e.response for e in found] == response_of(table).to_pylist()
    assert found[0].answer == agent()[5], "with all its keys"
    assert found[0].messages == agent()[:5]


def test_an_answer_is_its_reasoning_if_there_is_nothing_else() -> None:
    turns = [
        {"role": "user", "content": None},
        {"role": "assistant", "content": " ", "reasoning_content": "想一想"},
    ]
    table = chat_table([turns, [{"role": "assistant", "content": None}], []])
    assert response_of(table).to_pylist() == ["想一想", "", ""]
    assert instruction_of(table).to_pylist() == ["", "", ""], "nothing said is never a word"
    assert [e.response for e in exchanges(table)] == ["想一想", "", ""]


def test_answers_of_preferences_and_feedback_are_the_last_of_their_messages() -> None:
    prompt, answer = agent()[:3], agent()[3:]
    other = [{"role": "assistant", "content": "不知道。"}]
    for table in (
        preference_table([(prompt, answer, other), (prompt, other, answer), (agent(), [], other)]),
        feedback_table([(prompt, answer, True), (prompt, other, False), (agent(), [], True)]),
    ):
        assert response_of(table).to_pylist() == [agent()[5]["content"], "不知道。", ""]
        assert instruction_of(table).to_pylist()[:2] == [ASKED, ASKED]
        assert roles_of(table)[0].as_py() == "system developer user assistant tool assistant"
        assert messages_of(table)[:2] == [agent(), [*prompt, *other]]
        found = list(exchanges(table))
        assert [e.response for e in found] == response_of(table).to_pylist()
        assert found[2].answer is None
        assert found[2].messages == agent(), "an earlier answer in the prompt is not what was chosen"


@pytest.mark.parametrize("rows", [slice(None), slice(1, 3)])
def test_tables_of_an_earlier_version_are_read(rows: slice) -> None:
    prompts = [agent()[2:3], [{"role": "user", "content": None}], agent()[:3]][rows]
    chosen = ["带伞。", None, "不用。"][rows]
    table = pa.table({"prompt": two_fields(prompts), "chosen": chosen, "rejected": ["a", "b", "c"][rows]})
    assert response_of(table).to_pylist() == ["带伞。", "", "不用。"][rows]
    assert [e.response for e in exchanges(table)] == ["带伞。", "", "不用。"][rows]
    assert instruction_of(table).to_pylist() == [agent()[2]["content"], "", ASKED][rows]
    assert roles_of(table).to_pylist()[-1] == "system developer user assistant"


def test_a_transcript_names_roles_where_there_are_more_than_questions() -> None:
    assert transcript(agent()[:3]) == ASKED
    assert transcript(agent()[:5], [WEATHER]).splitlines() == [
        "[tools] weather(city, day)",
        "[system] 你是一个可靠的天气助手，回答要简短。",
        "[developer] 只回答与天气有关的问题。",
        "[user] 杭州明天需要带伞吗？",
        "[reasoning] 用户想知道杭州明天的天气，需要先查询天气预报。",
        CALLED,
        '[tool result] {"weather": "小雨", "high": 21}',
    ]


def test_calls_of_any_shape_are_shown() -> None:
    calls = [call(city="杭州"), {"name": "f", "arguments": {"n": 1}}, {"name": "g"}, "odd", None]
    said = answer_text({"role": "assistant", "content": "好。", "tool_calls": calls})
    assert said == '好。\n[tool call] weather({"city": "杭州"})\n[tool call] f({"n": 1})\n' + (
        "[tool call] g()\n[tool call] odd\n[tool call] "
    )
    assert transcript([], ["odd", {"name": "f"}]) == "[tools] odd, f()"
    assert shortened("一二三四五六", 4) == "一二\n[...]\n五六"
