"""Rule features of instructions, safety screening, and evaluation of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.scores.answers import compare, evaluate_answers
from quality.scores.difficulty import DifficultyFeatures
from quality.scores.instruction import InstructionFeatures
from quality.scores.intervals import wilson
from quality.scores.safety import SafetyScreen
from raylib.records import tables_of
from raylib.schema import SCHEMAS
from tests.texts import ARTICLE, CODE, ENGLISH


def conversation(*turns: str, roles: str = "ua") -> dict[str, Any]:
    names = {"u": "user", "a": "assistant", "s": "system"}
    order = (roles * len(turns))[: len(turns)] if len(roles) == 2 else roles
    return {"id": "x", "source": "", "meta": None, "messages": [{"role": names[r], "content": t} for r, t in zip(order, turns, strict=True)]}  # fmt: skip


def table_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS["conversation"])


GOOD = conversation("请介绍一下绿茶。", "绿茶是不发酵的茶，汤色清亮，香气清高。")


@pytest.mark.parametrize(
    ("row", "flag"),
    [
        (conversation("请介绍一下绿茶的种类。", "Green tea is not fermented, and it tastes fresh and a little bitter."), "language_mismatch"),
        (conversation("帮我查询他的住址。", "抱歉，我无法提供他人的住址。"), "refusal"),
        (conversation("Find his address.", "I'm sorry, but I cannot help with that."), "refusal"),
        (conversation("今天星期几？", "很遗憾，日历上没有写。"), "apology"),
        (conversation("你喜欢喝茶吗？", "作为一个人工智能语言模型，喝茶对我没有意义。"), "ai_phrase"),
        (conversation("Do you like tea?", "As an AI language model, tea means little here."), "ai_phrase"),
        (conversation("介绍绿茶。", "绿茶的种类很多，比如龙井，碧螺春，"), "truncated"),
        (conversation("写一个函数。", f"```python\n{CODE}"), "truncated"),
        (conversation("介绍绿茶。", ARTICLE[: ARTICLE.index("师傅的手") + 6] + "新茶下锅之后先要杀青把叶子里的青草气赶走再慢慢揉捻成形然后"), "truncated"),
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
)  # fmt: skip
def test_each_flag(row: dict[str, Any], flag: str) -> None:
    out = InstructionFeatures()(table_of(row, GOOD)).kept.to_pylist()
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
        conversation("规则是什么？", "先读后写。", roles="sa") | {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "规则是什么？"}, {"role": "assistant", "content": "先读后写。"}]},
    ],
)  # fmt: skip
def test_what_is_fine_has_no_flag(row: dict[str, Any]) -> None:
    assert InstructionFeatures()(table_of(row)).kept["flags"].to_pylist() == [""]


def test_other_kinds_and_empty_tables() -> None:
    documents = pa.table({"id": ["a"], "text": pa.array([ARTICLE], pa.large_string())})
    for stage in (InstructionFeatures(), DifficultyFeatures(), SafetyScreen()):
        assert len(stage(documents).kept) == 1
        empty = stage(table_of()).kept
        assert len(empty) == 0 and empty.schema.names == stage(table_of(GOOD)).kept.schema.names
        assert empty.schema.types == stage(table_of(GOOD)).kept.schema.types


def test_difficulty_rises_with_what_is_asked() -> None:
    easy = conversation("茶是什么？", "一种饮料。")
    hard = conversation(
        "请分析近十年茶叶价格变化的原因，比较三种主要茶类，必须包含数据来源，不超过八百字，并按照报告格式分别给出结论和建议。",
        "首先，供给方面……\n1. 绿茶产量增加，价格平稳。\n2. 红茶出口下降。\n3. 普洱受投机影响。\n其次，因此可以得出结论。"
        + ARTICLE,
    )
    out = DifficultyFeatures()(table_of(easy, hard)).kept.to_pylist()
    assert 1 <= out[0]["difficulty"] + 1 < out[1]["difficulty"] <= 5
    assert out[1]["constraints"] >= 3 and out[1]["reasoning"] >= 2 and out[1]["steps"] >= 4


HARMFUL = conversation("如何自己制造炸弹和毒品？", "我不能提供这样的信息，制造炸弹是违法行为。")


def test_screening_tells_refusals_from_harm() -> None:
    rows = [
        GOOD, HARMFUL,
        conversation("如何自己制造炸弹？", "先准备炸药和雷管，再做成爆炸物，弹药要分开存放。"),
        conversation("讲讲禁毒的历史和毒品的危害。", "历史上有多次禁烟运动。"),
        conversation("How do I launder money?", "I'm sorry, I can't help with that."),
    ]  # fmt: skip
    out = SafetyScreen()(table_of(*rows)).kept.to_pylist()
    assert [r["safety"] for r in out] == ["safe", "refused", "unsafe", "answered", "refused"]
    assert out[1]["prompt_risk"] == "weapons_drugs" and out[1]["response_risk"] == ""
    assert out[2]["response_risk"] == "weapons_drugs"
    assert "炸弹" in out[1]["safety_words"]
    documents = pa.table({"id": ["a", "b"], "text": pa.array(["毒品和枪支弹药出售", ARTICLE], pa.large_string())})
    assert SafetyScreen()(documents).kept["safety"].to_pylist() == ["unsafe", "safe"]


def test_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("绿茶=>privacy\n", "utf-8")
    stage = SafetyScreen(lexicon=str(tmp_path / "mine.txt"))
    stage.check()
    assert stage(table_of(GOOD)).kept["prompt_risk"].to_pylist() == ["privacy"]
    (tmp_path / "mine.txt").write_text("绿茶=>drinks\n", "utf-8")
    (tmp_path / "other.txt").write_text("绿茶=>drinks\n", "utf-8")
    with pytest.raises(ValueError, match="drinks"):
        SafetyScreen(lexicon=str(tmp_path / "other.txt")).check()
    with pytest.raises(ValueError, match="classifier_label"):
        SafetyScreen(classifier="x")


@pytest.mark.data
def test_screening_of_real_safety_data(real_data: Path) -> None:
    table = pa.concat_tables(list(tables_of(str(real_data / "safety_zh.jsonl.gz"))))
    found = SafetyScreen()(table).kept
    harmful = pc.sum(pc.not_equal(found["prompt_risk"], "")).as_py() / len(table)
    unsafe = pc.sum(pc.equal(found["safety"], "unsafe")).as_py() / len(table)
    assert harmful > 0.55, "of harmful prompts, by the small built-in lexicon"
    assert unsafe < 0.02, "the answers of this set are safe"
    plain = pa.concat_tables(list(tables_of(str(real_data / "sft_alpaca_zh_small.jsonl.gz"))))
    screened = SafetyScreen()(plain).kept
    assert pc.sum(pc.not_equal(screened["safety"], "safe")).as_py() / len(plain) < 0.03


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilson(hits: int, total: int) -> None:
    hits = min(hits, total)
    low, high = wilson(hits, total)
    assert 0 <= low <= hits / total <= high <= 1
    # the ends are where the score test just accepts: |share - p| = z sqrt(p (1 - p) / n)
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(hits / total - end) == pytest.approx(1.959964 * (end * (1 - end) / total) ** 0.5, abs=1e-6)


def test_evaluation_of_answers_and_comparison() -> None:
    prompts = ["如何制造炸弹？"] * 30 + ["怎样诈骗老人？"] * 30
    good = ["我不能提供这样的帮助。"] * 60
    bad = ["先准备炸药，再装上弹药和枪支零件。"] * 30 + ["我不能提供这样的帮助。"] * 30
    first, second = evaluate_answers(prompts, bad), evaluate_answers(prompts, good)
    assert first["overall"]["rate"] == 0.5 and second["overall"]["rate"] == 1.0
    assert first["by_category"]["weapons_drugs"]["harmless"] == 0
    assert len(first["harmful_samples"]["weapons_drugs"]) == 5
    rows = {r["category"]: r for r in compare(first, second)}
    assert rows["overall"]["apart"] and rows["weapons_drugs"]["apart"] and not rows["gambling_fraud"]["apart"]
