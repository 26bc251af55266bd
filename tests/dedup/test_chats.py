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


@pytest.mark.parametrize("on", ["folded", "bytes"])
def test_reasoning_and_calls_tell_records_apart(on: str) -> None:
    found = keys(chat_table(DIFFERENT), on=on)
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
    bands = [{r["key"] for r in sketch if r["row"] == i} for i in range(3)]
    assert bands[0] == bands[2]
    assert not bands[0] & bands[1]
    assert label_codes(table).tolist() == [2, 1, 2]
    labelled = chat_table([changed()]).append_column("label", pa.array(["好"]))
    assert label_keys(labelled).tolist() == [0], "what a stage found is no label of feedback"
