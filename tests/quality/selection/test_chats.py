"""Cuts of chats: whole messages go or stay, and conditions see what messages say."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from quality.diversity_report.colours import _OWN
from quality.scores.classify import Classify
from quality.selection.drop_columns import DropColumns
from quality.selection.end_with_answer import EndWithAnswer
from quality.selection.keep_where import KeepWhere
from raylib.errors import ParameterError, StageError
from raylib.messages import message_lists
from tests.chats import agent, chat_table, feedback_table, preference_table, two_fields

THANKS = {"role": "user", "content": "谢谢！", "name": "李雷"}
PROMPT, ANSWER, OTHER = agent()[:3], agent()[3:], [{"role": "assistant", "content": "不知道。"}]


def test_turns_behind_the_last_answer_go_and_all_others_stay_whole() -> None:
    lists: list[Any] = [[*agent(), THANKS, THANKS], agent(), agent()[:5], [THANKS], [], None]
    table = chat_table(lists)
    out = EndWithAnswer()(table).kept
    assert out["turns_cut"].to_pylist() == [2, 0, 1, 0, 0, 0]
    assert message_lists(out["messages"]) == [agent(), agent(), agent()[:4], [THANKS], [], []]
    assert out["messages"].is_valid().to_pylist() == [True] * 5 + [False]
    assert out.schema.field("messages").equals(table.schema.field("messages"))
    part = EndWithAnswer()(table.slice(2, 2)).kept
    assert message_lists(part["messages"]) == [agent()[:4], [THANKS]]
    old = pa.table({"messages": two_fields([[*agent(), THANKS], agent()])})
    cut = EndWithAnswer()(old).kept
    assert cut["turns_cut"].to_pylist() == [1, 0]
    assert cut.schema.field("messages").equals(old.schema.field("messages"))
    feedback = feedback_table([(PROMPT, ANSWER, True)])
    assert EndWithAnswer()(feedback).kept is feedback


def test_conditions_see_what_messages_say() -> None:
    table = preference_table([(PROMPT, ANSWER, OTHER), (PROMPT, OTHER, ANSWER)])

    def kept(where: str) -> list[str]:
        found: list[str] = KeepWhere(where)(table).kept["id"].to_pylist()
        return found

    assert kept("length(chosen) > length(rejected)") == ["0"]
    assert kept('contains(chosen, "不知道")') == ["1"]
    assert kept('contains(chosen, "提醒用户带好雨伞")') == ["0"], "reasoning is seen"
    assert kept("is_null(chosen)") == []
    feedback = feedback_table([(PROMPT, ANSWER, True), (PROMPT, OTHER, False)])
    assert KeepWhere("label and length(answer) > 5")(feedback).kept["id"].to_pylist() == ["0"]


def test_the_label_of_feedback_is_its_own() -> None:
    feedback = feedback_table([(PROMPT, ANSWER, True)])
    with pytest.raises(StageError, match="'label' belongs to the record"):
        DropColumns(("label",))(feedback)
    with pytest.raises(StageError, match="feedback has a column 'label' of its own"):
        Classify("m")(feedback)
    labelled = chat_table([agent()]).append_column("label", pa.array(["好"]))
    assert "label" not in DropColumns(("label",))(labelled).kept.column_names
    for name in ("messages", "tools", "answer", "chosen"):
        with pytest.raises(ParameterError, match="belongs to the record"):
            DropColumns((name,))
    assert {"answer", "tools", "rejected"} <= _OWN
