"""A preference proves its prompt; feedback has a label; everything else is refused with a reason of its own."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from raylib.errors import RecordError
from raylib.reading.coercion import coerce
from raylib.reading.layouts import guess_kind


def u(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def a(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def shown(row: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    prompt, chosen, rejected = ([m["content"] for m in row[n]] for n in ("prompt", "chosen", "rejected"))
    return prompt, chosen, rejected


SYSTEM = {"role": "system", "content": "少说"}
TOOL = {"role": "tool", "content": "三级"}


@pytest.mark.parametrize(
    ("raw", "prompt", "chosen"),
    [
        ({"prompt": "风多大", "chosen": [u("风多大"), a("三级")], "rejected": [u("风多大"), a("无")]},
         ["风多大"], ["三级"]),
        (
            {"prompt": "早", "chosen": [u("早"), a("早"), u("风多大"), a("三级")],
             "rejected": [u("早"), a("早"), u("风多大"), a("无")]},
            ["早", "早", "风多大"], ["三级"],
        ),
        (
            {"prompt": "风多大", "chosen": [u("早"), a("早"), u("风多大"), a("三级")],
             "rejected": [u("早"), a("早"), u("风多大"), a("无")], "messages": [u("早")]},
            ["早", "早", "风多大"], ["三级"],
        ),
        (
            {"prompt": [u("风多大")], "chosen": [u("风多大"), a("三级")], "rejected": [a("无")]}, ["风多大"], ["三级"],
        ),
        ({"instruction": "译", "input": "风", "chosen": "三级", "rejected": "无", "history": [["早", "早"]]},
         ["早", "早", "译\n风"], ["三级"]),
        ({"chosen": [SYSTEM, u("风多大"), a("三级")], "rejected": [u("风多大"), a("无")]},
         ["少说", "风多大"], ["三级"]),
        ({"system": "少说", "prompt": "风多大", "chosen": "三级", "rejected": "无"}, ["少说", "风多大"], ["三级"]),
        ({"prompt": [u("风多大")], "chosen": [a("查"), TOOL, a("三级")], "rejected": [a("无")]},
         ["风多大"], ["查", "三级", "三级"]),
        ({"chosen": [u("风多大"), a("查"), TOOL, a("三级")], "rejected": [u("风多大"), a("查"), TOOL, a("无")]},
         ["风多大", "查", "三级"], ["三级"]),
        ({"chosen": [u("风多大"), a("查"), a("三级")], "rejected": [u("风多大"), a("查"), a("无")]},
         ["风多大"], ["查", "三级"]),
        ({"chosen": [u("风多大"), a("三级")], "rejected": "无"}, ["风多大"], ["三级"]),
        (
            {"chosen": "\n\nHuman: 早\n\nAssistant: 早\n\nHuman: 风多大\n\nAssistant: 三级",
             "rejected": "\n\nHuman: 早\n\nAssistant: 早\n\nHuman: 风多大\n\nAssistant: 无"},
            ["早", "早", "风多大"], ["三级"],
        ),
        ({"prompt": "Human: 早\n\nAssistant: 早\n\nHuman: 风多大\n\nAssistant:", "chosen": "三级", "rejected": "无"},
         ["早", "早", "风多大"], ["三级"]),
        ({"prompt": "风多大", "chosen": "风多大\n三级", "rejected": "风多大\n无"}, ["风多大"], ["三级"]),
        ({"conversations": [{"from": "human", "value": "风多大"}], "chosen": {"from": "gpt", "value": "三级"},
          "rejected": {"from": "gpt", "value": "无"}}, ["风多大"], ["三级"]),
        ({"messages": [u("风多大"), a("三级")], "rejected_response": "无"}, ["风多大"], ["三级"]),
        ({"question": "风多大", "response_chosen": "三级", "response_rejected": "无"}, ["风多大"], ["三级"]),
        ({"prompt": orjson.dumps([u("风多大")]).decode(), "chosen": orjson.dumps([a("三级")]).decode(),
          "rejected": orjson.dumps([a("无")]).decode()}, ["风多大"], ["三级"]),
    ],
)  # fmt: skip
def test_the_prompt_is_everything_before_the_answer(raw: dict[str, Any], prompt: list[str], chosen: list[str]) -> None:
    assert guess_kind(raw) == "preference"
    row: dict[str, Any] = coerce(raw, "preference")
    assert shown(row)[:2] == (prompt, chosen)
    assert shown(row)[2][-1] == "无"
    assert [m["role"] for m in (row["chosen"][0], row["chosen"][-1])] == ["assistant", "assistant"]


@pytest.mark.parametrize(
    ("raw", "reason", "names"),
    [
        ({"chosen": [u("早"), a("早"), u("风多大"), a("三级")], "rejected": [u("早"), a("嗯"), u("雨呢"), a("无")]},
         "histories_differ", "message 1 on"),
        ({"chosen": [u("早"), a("三级")], "rejected": [u("早"), a("嗯"), u("为何"), a("无")]},
         "histories_differ", "rejected"),
        ({"chosen": [u("早"), a("三级")], "rejected": [u("晚"), a("无")]}, "histories_differ", "message 0"),
        ({"chosen": [SYSTEM, u("早"), a("好")], "rejected": [{**SYSTEM, "content": "多说"}, u("早"), a("无")]},
         "histories_differ", "system"),
        ({"chosen": [u("早"), a("好"), u("谢谢")], "rejected": [u("早"), a("坏"), u("哼")]}, "answer_not_assistant",
         "message 2 of 'chosen' is the user's"),
        ({"prompt": [u("早")], "chosen": [u("早")], "rejected": [a("坏")]}, "answer_not_assistant", "chosen"),
        ({"conversations": [u("早"), a("好")], "chosen": a("好"), "rejected": a("坏")}, "prompt_ends_with_answer",
         "message 1"),
        ({"chosen": "好", "rejected": "坏"}, "no_prompt", "no prompt"),
        ({"prompt": " ", "chosen": "好", "rejected": "坏"}, "no_prompt", "no prompt"),
        ({"prompt": [SYSTEM], "chosen": "好", "rejected": "坏"}, "no_prompt", "no prompt"),
        ({"prompt": "早", "chosen": [u("晚"), a("好")], "rejected": [u("晚"), a("坏")]}, "prompt_differs", "'prompt'"),
        ({"prompt": "早", "chosen": "好", "rejected": "好 "}, "equal_answers", "the same"),
        ({"prompt": "早", "chosen": "好", "rejected": "坏", "label": "tie"}, "tie", "label"),
        ({"prompt": "早", "chosen": "好", "rejected": "坏", "winner": "tie (both bad)"}, "tie", "winner"),
        ({"prompt": "早", "chosen": ["好", "坏"], "rejected": "坏"}, "wrong_type", "chosen"),
    ],
)  # fmt: skip
def test_what_proves_nothing_is_refused(raw: dict[str, Any], reason: str, names: str) -> None:
    with pytest.raises(RecordError) as caught:
        coerce(raw, "preference")
    assert (caught.value.reason, names in caught.value.detail) == (reason, True), caught.value.detail


def test_texts_that_look_like_lists_are_texts() -> None:
    row = coerce({"prompt": "[3, 1]", "chosen": "[1, 3]", "rejected": "[3]"}, "preference")
    assert shown(row) == (["[3, 1]"], ["[1, 3]"], ["[3]"])
    assert coerce({"question": "[3, 1]", "answer": "[1, 3]"}, "conversation")["messages"] == [u("[3, 1]"), a("[1, 3]")]


def test_scores_are_kept() -> None:
    raw = {"prompt": "早", "chosen": "好", "rejected": "坏", "score_chosen": 8.5, "margin": 2}
    assert orjson.loads(str(coerce(raw, "preference")["meta"])) == {"score_chosen": 8.5, "margin": 2}


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt": "早", "completion": "好", "label": False},
        {"prompt": [u("早")], "completion": [a("好")], "label": False},
        {"prompt": "早", "completion": "好", "label": 0},
        {"messages": [u("早"), a("好")], "label": False},
        {"conversations": [{"from": "human", "value": "早"}, {"from": "gpt", "value": "好"}], "kto_tag": False},
        {"instruction": "早", "input": "", "output": "好", "kto_tag": "false"},
        {"prompt": [u("早")], "answer": [a("好")], "label": False},
    ],
)
def test_feedback(raw: dict[str, Any]) -> None:
    assert guess_kind(raw) == "feedback"
    row = coerce(raw, "feedback")
    assert (row["prompt"], row["answer"], row["label"]) == ([u("早")], [a("好")], False)
    assert row["meta"] is None
    with pytest.raises(RecordError, match=r"kind feedback.* bad answer would be learnt") as caught:
        coerce(raw, "conversation")
    assert caught.value.reason == "feedback"


def test_a_prompt_of_feedback_may_end_with_the_result_of_a_tool() -> None:
    prompt = [u("风多大"), {"role": "assistant", "content": "查"}, TOOL]
    row = coerce({"prompt": prompt, "answer": [a("三级")], "label": True}, "feedback")
    assert (row["prompt"], row["answer"]) == (prompt, [a("三级")])
    joined = coerce({"messages": [*prompt, a("三级")], "label": True}, "feedback")
    assert joined["answer"] == [*prompt[1:], a("三级")], "of a dialogue, all that follows the last question"


@pytest.mark.parametrize(
    "raw", [{"text": "好", "label": 1}, {"text": "好", "label": True}, {"text": "好", "label": "news"}]
)
def test_labelled_texts_are_documents(raw: dict[str, Any]) -> None:
    assert guess_kind(raw) == "document"
    assert coerce(raw, "document")["text"] == "好"


@pytest.mark.parametrize("label", ["news", 3, 1])
def test_classes_of_conversations_are_no_feedback(label: object) -> None:
    raw = {"question": "早", "answer": "好", "label": label}
    assert guess_kind(raw) == "conversation"
    assert orjson.loads(str(coerce(raw, "conversation")["meta"])) == {"label": label}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"prompt": "早", "completion": "好"}, "missing_field"),
        ({"prompt": "早", "completion": "好", "label": "good"}, "wrong_value"),
        ({"messages": [a("好")], "label": True}, "no_prompt"),
        ({"messages": [u("早"), a("好"), u("谢谢")], "label": True}, "answer_not_assistant"),
        ({"label": True, "x": 1}, "unknown_layout"),
    ],
)
def test_feedback_that_is_none(raw: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        coerce(raw, "feedback")
    assert caught.value.reason == reason
