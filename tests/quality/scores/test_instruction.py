"""Rule features of instructions."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from quality.scores.difficulty import DifficultyFeatures
from quality.scores.instruction import InstructionFeatures
from quality.scores.safety import SafetyScreen
from tests.quality.rows import GOOD, conversation, conversation_table
from tests.texts import ARTICLE, CODE, ENGLISH


@pytest.mark.parametrize(
    ("row", "flag"),
    [
        (
            conversation(
                "请介绍一下绿茶的种类。", "Green tea is not fermented, and it tastes fresh and a little bitter."
            ),
            "language_mismatch",
        ),
        (conversation("帮我查询他的住址。", "抱歉，我无法提供他人的住址。"), "refusal"),
        (conversation("Find his address.", "I'm sorry, but I cannot help with that."), "refusal"),
        (conversation("今天星期几？", "很遗憾，日历上没有写。"), "apology"),
        (conversation("你喜欢喝茶吗？", "作为一个人工智能语言模型，喝茶对我没有意义。"), "ai_phrase"),
        (conversation("Do you like tea?", "As an AI language model, tea means little here."), "ai_phrase"),
        (conversation("介绍绿茶。", "绿茶的种类很多，比如龙井，碧螺春，"), "truncated"),
        (conversation("写一个函数。", f"```python\n{CODE}"), "truncated"),
        (
            conversation(
                "介绍绿茶。",
                ARTICLE[: ARTICLE.index("师傅的手") + 6] + "新茶下锅之后先要杀青把叶子里的青草气赶走再慢慢揉捻成形然后",
            ),
            "truncated",
        ),
        (conversation("介绍绿茶。", "### Response:\n绿茶是不发酵的茶。"), "template_residue"),
        (conversation("<|im_start|>user\n介绍绿茶。", "绿茶是不发酵的茶。"), "template_residue"),
        (conversation("请介绍一下绿茶。", "请介绍一下绿茶。"), "duplicated_answer"),
        (conversation("你好，请问。", "绿茶是不发酵的茶。", "还有呢？", "绿茶是不发酵的茶。"), "duplicated_answer"),
        (conversation("介绍绿茶。", "绿茶好喝。" * 30), "repetition"),
        (conversation("介绍绿茶。", "   "), "empty_turns"),
        (conversation("绿茶是茶。", "再说。", roles="au"), "role_order"),
        (conversation("介绍绿茶。", "好。", "再来。", roles="uau"), "role_order"),
        (conversation("介绍绿茶。", "说明。", "好。", roles="usa"), "role_order"),
    ],
)
def test_each_flag(row: dict[str, Any], flag: str) -> None:
    out = InstructionFeatures()(conversation_table([row, GOOD])).kept.to_pylist()
    assert flag in out[0]["flags"].split(","), out[0]
    assert out[1]["flags"] == "", "a good record has no flag"


@pytest.mark.parametrize(
    "row",
    [
        conversation("把“绿茶很好喝”翻译成英文。", "Green tea tastes very good to most of the people."),
        conversation("用 Python 写一个加法函数。", f"```python\n{CODE}```"),
        conversation("列出三种茶。", "1. 龙井\n2. 碧螺春\n3. 毛尖"),
        conversation("What is tea?", ENGLISH),
        conversation("写一首诗。", "床前明月光，\n疑是地上霜。"),
        conversation("你好。", "你好！", "再见。", "再见～"),
        conversation("规则是什么？", "先读后写。", roles="sa")
        | {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "规则是什么？"},
                {"role": "assistant", "content": "先读后写。"},
            ]
        },
    ],
)
def test_what_is_fine_has_no_flag(row: dict[str, Any]) -> None:
    assert InstructionFeatures()(conversation_table([row])).kept["flags"].to_pylist() == [""]


def test_other_kinds_and_empty_tables() -> None:
    documents = pa.table({"id": ["a"], "text": pa.array([ARTICLE], pa.large_string())})
    for stage in (InstructionFeatures(), DifficultyFeatures(), SafetyScreen()):
        assert len(stage(documents).kept) == 1
        empty = stage(conversation_table([])).kept
        assert len(empty) == 0
        assert empty.schema.names == stage(conversation_table([GOOD])).kept.schema.names
        assert empty.schema.types == stage(conversation_table([GOOD])).kept.schema.types
