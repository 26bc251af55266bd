"""Chats are duplicates if they say the same, think the same and call the same; feedback only with the same label."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from dedup.exact import ExactDedup
from dedup.minhash import MinHashDedup
from dedup.sameness import compared_texts, label_codes, label_keys, mark_hashes
from tests.chats import WEATHER, call, chat_table, feedback_table, preference_table, two_fields
from tests.texts import ARTICLE

ASKED = [{"role": "user", "content": "介绍一下这篇文章。"}]
SAID = {"role": "assistant", "content": "好的。"}


def keys(table: pa.Table, **options: Any) -> list[tuple[int, int]]:
    sketch = ExactDedup(**options).sketch(table)
    return list(zip(sketch["key"].to_pylist(), sketch["key_low"].to_pylist(), strict=True))


def changed(**keys_of_answer: Any) -> list[dict[str, Any]]:
    return [*ASKED, {**SAID, **keys_of_answer}]


DIFFERENT = [
    changed(),
    changed(reasoning_content="用户想听介绍。"),
    changed(reasoning_content="用户想看介绍。"),
    changed(content="用户想听介绍。\n好的。"),
    changed(tool_calls=[call(city="杭州")]),
    changed(tool_calls=[call(city="上海")]),
    changed(content=None, tool_calls=[call(city="上海")]),
    [*ASKED, {"role": "assistant", "content": "", "reasoning_content": "好的。"}],
]


@pytest.mark.parametrize("normalise", ["auto", "none", "loose"])
def test_reasoning_and_calls_tell_records_apart(normalise: str) -> None:
    found = keys(chat_table(DIFFERENT), normalise=normalise)
    assert len(set(found)) == len(found)


def test_ids_of_calls_and_keys_that_nobody_reads_do_not() -> None:
    same = [
        changed(tool_calls=[call(identity="call_x", city="杭州")]),
        changed(tool_calls=[call(identity="call_y", city="杭州")], loss=True),
        changed(tool_calls=[{**call(city="杭州"), "index": 0} | {"index": 0}], name="甲"),
    ]
    found = keys(chat_table(same[:2]))
    assert found[0] == found[1]
    assert len(set(compared_texts(chat_table(same)).to_pylist())) == 2, "another key of a call is another call"


def test_tools_tell_records_apart_whatever_the_order_of_their_keys() -> None:
    turned = {"function": dict(reversed(WEATHER["function"].items())), "type": "function"}
    tools = [None, [], [WEATHER], [turned], [WEATHER, WEATHER]]
    found = keys(chat_table([changed()] * 5, tools))
    assert found[0] == found[1] != found[2] == found[3] != found[4]


def test_plain_chats_have_the_keys_of_their_texts_alone() -> None:
    table = chat_table([changed(), [*ASKED, SAID]])
    assert not mark_hashes(table).any()
    old = table.select(["id", "source"]).append_column("messages", two_fields([changed(), changed()]))
    assert keys(old) == keys(table)


def test_labels_and_the_order_of_answers_tell_records_apart() -> None:
    liked, disliked = (ASKED, [SAID], True), (ASKED, [SAID], False)
    found = keys(feedback_table([liked, disliked, liked]))
    assert found[0] == found[2] != found[1]
    other = [{"role": "assistant", "content": "不行。"}]
    pairs = keys(preference_table([(ASKED, [SAID], other), (ASKED, other, [SAID]), (ASKED, [SAID], other)]))
    assert pairs[0] == pairs[2] != pairs[1]


def test_feedback_of_different_labels_is_never_near() -> None:
    answer = [{"role": "assistant", "content": ARTICLE}]
    table = feedback_table([(ASKED, answer, True), (ASKED, answer, False), (ASKED, answer, True)])
    sketch = MinHashDedup().sketch(table).to_pylist()
    found = [{r["key"] for r in sketch if r["row"] == i} for i in range(3)]
    assert found[0] & found[2]
    assert not (found[0] | found[2]) & found[1]
    assert label_codes(table).tolist() == [2, 1, 2]
    labelled = chat_table([changed()]).append_column("label", pa.array(["好"]))
    assert label_keys(labelled).tolist() == [0], "what a stage found is no label of feedback"


def test_chats_are_compared_strictly_and_documents_by_their_words() -> None:
    said = ["3 kg！", "3 kg!", "3 kG!", "3  kg!", "x+y。", "X+Y。", "x+y"]
    found = keys(chat_table([changed(content=text) for text in said]))
    assert found[0] == found[1] == found[3]
    assert len(set(found)) == 5
    documents = pa.table({"id": said, "source": said, "text": pa.array(said, pa.large_string())})
    found = keys(documents)
    assert found[0] == found[1] == found[3]
    assert found[4] == found[5] == found[6]
    assert len(set(found)) == 3, "a unit keeps its case"
    assert len(set(keys(documents, normalise="none"))) == 7


def test_exercises_that_differ_in_a_sign_are_different_records() -> None:
    exercises = ["12-3", "12*3", "12.3", "123", "12+3", "12/3", "-123", "123%", "$123", "C", "C++", "C#", ".NET", "NET"]
    for table in (
        chat_table([[{"role": "user", "content": f"计算{e}"}, SAID] for e in exercises]),
        pa.table({"id": exercises, "source": exercises, "text": pa.array([f"计算{e}。" for e in exercises])}),
    ):
        assert len(set(keys(table))) == len(exercises)
        facts = MinHashDedup().sketch_with_facts(table)[1]
        assert len(set(facts["twin"].to_pylist())) == len(exercises)
        assert len(set(facts["signature"].to_pylist())) == len(exercises)
        assert facts["strict"].to_pylist() == ["messages" in table.column_names] * len(exercises)
