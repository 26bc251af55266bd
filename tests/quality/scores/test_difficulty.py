"""Signs of difficulty."""

from __future__ import annotations

from quality.scores.difficulty import DifficultyFeatures
from tests.quality.rows import conversation, conversation_table
from tests.texts import ARTICLE


def test_difficulty_rises_with_what_is_asked() -> None:
    easy = conversation("茶是什么？", "一种饮料。")
    hard = conversation(
        "请分析近十年茶叶价格变化的原因，比较三种主要茶类，必须包含数据来源，"
        "不超过八百字，并按照报告格式分别给出结论和建议。",
        "首先，供给方面……\n1. 绿茶产量增加，价格平稳。\n2. 红茶出口下降。\n3. 普洱受投机影响。\n"
        "其次，因此可以得出结论。" + ARTICLE,
    )
    out = DifficultyFeatures()(conversation_table([easy, hard])).kept.to_pylist()
    assert 1 <= out[0]["difficulty"] + 1 < out[1]["difficulty"] <= 5
    assert out[1]["constraints"] >= 3
    assert out[1]["reasoning"] >= 2
    assert out[1]["steps"] >= 4
