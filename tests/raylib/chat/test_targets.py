"""Where an answer ends, and where its reasoning ends."""

from __future__ import annotations

import re

import pytest

from raylib.chat.targets import ending, split_reasoning

_SPECIAL = re.compile(r"<end>|<call>|<turn>")


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("好<end>", [], ("好<end>", "", True)),
        ("好<end>\n", [], ("好<end>", "\n", True)),
        ("好<end>\n<turn>", [], ("好<end>\n<turn>", "", True)),
        ("好<end>\n<turn>", ["<end>"], ("好<end>", "\n<turn>", True)),
        ("好<call><end><turn>", ["<call>", "<end>"], ("好<call>", "<end><turn>", True)),
        ("好<call><end><turn>", ["<turn>"], ("好<call><end><turn>", "", True)),
        ("甲<end>乙<turn>", ["<end>"], ("甲<end>乙<turn>", "", True)),
        ("甲<end>乙", ["<end>"], ("甲<end>乙", "", False)),
        ("好\n", [], ("好\n", "", False)),
        ("", [], ("", "", False)),
    ],
)
def test_an_answer_ends_at_the_first_known_stop_of_those_at_its_end(
    text: str, stops: list[str], expected: tuple[str, str, bool]
) -> None:
    assert ending(text, _SPECIAL, stops) == expected


def test_without_special_tokens_nothing_ends() -> None:
    assert ending("好<end>", None, ["<end>"]) == ("好<end>", "", False)


@pytest.mark.parametrize(
    ("text", "reasoning", "content", "rest"),
    [
        ("<think>\n想。\n</think>\n\n好<end>", "想。", "好", "好<end>"),
        ("想。\n</think>\n\n好<end>", "想。", "好", "好<end>"),
        ("<think>好</think>好<end>", "好", "好", "好<end>"),
        ("<|analysis|>想。<|final|>好<end>", "想。", "好", "好<end>"),
        ("<think>\n\n</think>\n\n好<end>", "", "好", "好<end>"),
        ("<think>\n想。\n</think>\n\n好<end>", "", "<think>\n想。\n</think>\n\n好", "好<end>"),
        ("<think>想。</think>\n<call>查<end>", "想。", "", "<call>查<end>"),
        ("[THINK]想。[/THINK]好", "想。", "", "好"),
        ("好<end>", "", "好", "好<end>"),
        ("好<end>", "没写", "好", "好<end>"),
    ],
)
def test_the_answer_itself_begins_after_the_reasoning(text: str, reasoning: str, content: str, rest: str) -> None:
    assert text[split_reasoning(text, reasoning, content) :] == rest
