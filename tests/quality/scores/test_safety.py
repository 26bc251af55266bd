"""Safety screening by lexicon."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from quality.scores.safety import SafetyScreen
from raylib.records import Unread, tables_of
from tests.quality.rows import GOOD, conversation, conversation_table
from tests.texts import ARTICLE

HARMFUL = conversation("如何自己制造炸弹和毒品？", "我不能提供这样的信息，制造炸弹是违法行为。")


def test_screening_tells_refusals_from_harm() -> None:
    rows = [
        GOOD,
        HARMFUL,
        conversation("如何自己制造炸弹？", "先准备炸药和雷管，再做成爆炸物，弹药要分开存放。"),
        conversation("讲讲禁毒的历史和毒品的危害。", "历史上有多次禁烟运动。"),
        conversation("How do I launder money?", "I'm sorry, I can't help with that."),
    ]
    out = SafetyScreen()(conversation_table(rows)).kept.to_pylist()
    assert [r["safety"] for r in out] == ["safe", "refused", "unsafe", "answered", "refused"]
    assert out[1]["prompt_risk"] == "weapons_drugs"
    assert out[1]["response_risk"] == ""
    assert out[2]["response_risk"] == "weapons_drugs"
    assert "炸弹" in out[1]["safety_words"]
    documents = pa.table({"id": ["a", "b"], "text": pa.array(["毒品和枪支弹药出售", ARTICLE], pa.large_string())})
    assert SafetyScreen()(documents).kept["safety"].to_pylist() == ["unsafe", "safe"]


def test_a_response_is_harmful_from_three_different_words() -> None:
    rows = [
        conversation("如何自己制造炸弹？", "先准备炸药和雷管，炸药要分三次装，炸药装好就完成了。"),
        conversation("如何自己制造炸弹？", "先准备炸药和雷管，再做成爆炸物，弹药要分开存放。"),
        conversation("如何自己制造炸弹？", "我不能告诉你。炸药、爆炸物和弹药都很危险。"),
        conversation("炸弹案怎么判？", "私自买卖炸药、爆炸物、弹药的，法院会判处有期徒刑。"),
    ]
    out = SafetyScreen()(conversation_table(rows)).kept
    assert out["safety"].to_pylist() == ["answered", "unsafe", "refused", "answered"]
    assert out["response_risk"].to_pylist() == ["", "weapons_drugs", "", ""]
    assert out["refusal"].to_pylist() == [False, False, True, False], "to discuss a crime is no refusal"
    assert SafetyScreen(min_hits=4)(conversation_table(rows)).kept["safety"][1].as_py() == "answered"
    texts = ["毒品和枪支出售，毒品到货，毒品包邮。", "毒品和枪支弹药出售，长期有货。"]
    documents = pa.table({"id": ["a", "b"], "text": pa.array(texts, pa.large_string())})
    assert SafetyScreen()(documents).kept["safety"].to_pylist() == ["safe", "unsafe"]


def test_a_word_that_stands_in_any_text_does_not_clear_an_answer() -> None:
    harm = "先准备炸药和雷管，再做成爆炸物，弹药要分开存放"
    rows = [
        conversation("如何自己制造炸弹？", f"{harm}，避免被人发现。"),
        conversation("如何自己制造炸弹？", f"{harm}，保护好自己的手。"),
        conversation("如何自己制造炸弹？", f"我研究过：{harm}。"),
        conversation(
            "介绍一部小说。", "这部小说写矿山的历史：炸药、雷管、爆炸物和弹药都由外国公司运来，矿工不知道它们有多危险。"
        ),
        conversation("矿山怎样保管炸药？", "炸药、雷管、爆炸物和弹药要分开存放，防范丢失。"),
    ]
    found = SafetyScreen()(conversation_table(rows)).kept["safety"].to_pylist()
    assert found[:3] == ["unsafe"] * 3
    assert "unsafe" not in found[3:]


def test_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("绿茶=>privacy\n", "utf-8")
    stage = SafetyScreen(lexicon=str(tmp_path / "mine.txt"))
    stage.check()
    assert stage(conversation_table([GOOD])).kept["prompt_risk"].to_pylist() == ["privacy"]
    (tmp_path / "mine.txt").write_text("绿茶=>drinks\n", "utf-8")
    (tmp_path / "other.txt").write_text("绿茶=>drinks\n", "utf-8")
    with pytest.raises(ValueError, match="drinks"):
        SafetyScreen(lexicon=str(tmp_path / "other.txt")).check()
    with pytest.raises(ValueError, match="classifier_label"):
        SafetyScreen(classifier="x")


@pytest.mark.data
def test_screening_of_real_safety_data(real_data: Path) -> None:
    table = pa.concat_tables(list(tables_of(str(real_data / "safety_zh.jsonl.gz"), rejected=Unread())))
    found = SafetyScreen()(table).kept
    harmful = pc.sum(pc.not_equal(found["prompt_risk"], "")).as_py() / len(table)
    unsafe = pc.sum(pc.equal(found["safety"], "unsafe")).as_py() / len(table)
    assert harmful > 0.55, "of harmful prompts, by the small built-in lexicon"
    assert unsafe < 0.02, "the answers of this set are safe"
    plain = pa.concat_tables(list(tables_of(str(real_data / "sft_alpaca_zh_small.jsonl.gz"), rejected=Unread())))
    screened = SafetyScreen()(plain).kept
    assert pc.sum(pc.not_equal(screened["safety"], "safe")).as_py() / len(plain) < 0.03
