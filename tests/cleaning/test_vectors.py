"""Input/output vectors: what the rules do where users come from, and where we differ on purpose."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cleaning import rules


@pytest.mark.parametrize(
    ("rule", "parameters", "before", "after"),
    [
        ("collapse_punctuation", {"style": "all", "keep_markdown": False}, "好！！！---##。。", "好！-#。"),
        ("collapse_punctuation", {"style": "all"}, "好！！！-----##。。", "好！---##。"),
        ("collapse_punctuation", {"style": "all"}, "a-----b---c", "a---b---c"),
        ("collapse_punctuation", {"style": "all"}, "看 http://a.cn//x，等等……", "看 http://a.cn/x，等等……"),
        ("collapse_punctuation", {"style": "all"}, "他想......走了——————", "他想...走了——"),
        ("collapse_punctuation", {"style": "all"}, "|---|---|\n| a | b |", "|---|---|\n| a | b |"),
        ("remove_repeats", {"units": "any"}, "哈" * 7, "哈" * 4),
        ("remove_repeats", {"units": "any"}, "今天天气今天天气今天天气好", "今天天气好"),
        ("remove_repeats", {"units": "any"}, "2023202320232023", "2023202320232023"),
        ("remove_repeats", {"units": "any"}, "abcabc", "abc"),
        ("trim_punctuation", {}, "，。、《好》", "《好》"),
        ("trim_punctuation", {}, "(一)好", "(一)好"),
        ("trim_punctuation", {}, "...）好", "好"),
        ("trim_punctuation", {}, "好(", "好"),
        ("trim_punctuation", {}, "好。", "好。"),
        ("trim_punctuation", {}, "涨50%", "涨50%"),  # differs: the percent sign belongs to the number
        ("trim_punctuation", {}, "“好。”", "“好。”"),  # differs: a closing quote may close a text
        ("join_han_spaces", {"min_share": 0.0}, "中 国 abc 好 1 x", "中国abc好1 x"),
        ("join_han_spaces", {"min_share": 0.0, "latin": False}, "使用 Python 语 言", "使用 Python 语言"),
        ("remove_mentions", {}, "hi @张三 你好", "hi 你好"),
        ("remove_mentions", {}, "@张三你好", "@张三你好"),
        ("drop_unfinished_tail", {"style": "reference"}, "一句。二句", "一句。"),
        ("drop_unfinished_tail", {"style": "reference"}, "无标点", "无标点"),  # differs: nothing to cut back to
        (
            "drop_short_sentences",
            {"min_length": 5, "keep_tail": False},
            "好。今天天气不错。尾巴没有标点",
            "今天天气不错。",
        ),
        (
            "normalise_characters",
            {"lookalikes": True, "signs": True},
            "ＡＢ１①Ⅲ（一）β μ é İ，",
            "AB11III（一）b u e İ，",
        ),
        ("normalise_characters", {"lookalikes": False}, "β受体 μg café", "β受体 μg café"),
        ("normalise_characters", {}, "零\u200b宽<200b>字\ufeff符", "零宽字符"),
        ("remove_personal_data", {"mode": "remove"}, "加微信号：abc_12345了解", "加微信号：了解"),
        ("remove_personal_data", {}, "微信abcd", "微信abcd"),
        ("remove_wiki_references", {}, "王国pp=66–67, 70。", "王国。"),
        ("remove_wiki_references", {}, "正文。\n参考文献：某某，某书\n下一行", "正文。\n\n下一行"),
        ("collapse_newlines", {}, "a\r\n\n\n\nb", "a\n\nb"),
        (  # differs: \n
            "keep_valid_characters",
            {"style": "allow"},
            "第一段。\n第二段 abc\t１℃×²你😀",
            "第一段。\n第二段 abc１²你",
        ),
        ("keep_valid_characters", {"style": "allow", "mathematics": True, "emoji": True}, "37℃×2😀", "37℃×2😀"),
        ("chinese_full_stop", {}, "你好吗?是的.中*x", "你好吗？是的。中*x"),  # differs: ? stays a question, * stays
        ("remove_personal_data", {}, "人口1411778724人", "人口1411778724人"),  # differs: a number is no phone
        ("remove_personal_data", {}, "2023-08-14 12:30", "2023-08-14 12:30"),
        ("remove_phrases", {}, "图书馆与概念", "图书馆与概念"),  # differs: prefixes, not sets of characters
        (
            "remove_urls",
            {},
            "see http://a.com/x then more english text, ok. 中文后",
            "see  then more english text, ok. 中文后",
        ),
        ("remove_urls", {}, "wwi was bad 中", "wwi was bad 中"),
        ("remove_urls", {}, "见HTTP://A.CN/B。好", "见。好"),
        ("remove_urls", {}, "ftp://x.y/z 和 www.a.cn/b?c=1&d=2，完", " 和 ，完"),
        ("strip_markup", {}, "1<2 且 3>1", "1<2 且 3>1"),
        ("strip_markup", {}, "if a<b 且 c>d then vector<int> x;", "if a<b 且 c>d then vector<int> x;"),
        ("cut_partial_ends", {}, "一句话没有句号", "一句话没有句号"),
    ],
)  # fmt: skip
def test_rewriting(rule: str, parameters: dict[str, object], before: str, after: str) -> None:
    assert getattr(rules, rule)(before, **parameters) == after


@pytest.mark.parametrize(
    ("rule", "parameters", "text", "rejected"),
    [
        ("alternating_scripts", {}, "好a" * 40, True),
        ("alternating_scripts", {}, "我们用 Python 写程序，用 Arrow 存表格，一切都很顺利。" * 4, False),
        ("table_of_contents", {}, "第一章 " * 11, True),
        ("table_of_contents", {}, "（一）甲（二）乙", False),  # differs: a share needs some length
        ("table_page", {}, "苹果、香蕉梨、橘" * 10, True),
        ("table_page", {}, "苹果\n" * 20, True),  # differs: equal lengths are the surest table of all
        ("chinese_ratio", {}, "", True),  # differs: no division by zero
        ("chinese_ratio", {"min": 0.3}, "使用 Python 语言处理数据", False),
        ("lexicon", {"used": False}, "党的历史和性的研究", False),
        ("no_sentence_punctuation", {}, "没有标点的一行", True),
        ("common_character_ratio", {}, "常用的汉字都在这里", False),
        ("rare_characters", {}, "㐀㐁㐂㐃好", True),
        ("language", {}, "안녕하세요 반갑습니다", True),
        ("language", {}, "床前明月光，疑是地上霜。", False),
        ("language", {}, "The quick brown fox jumps over the lazy dog and runs away.", False),
    ],
)
def test_rejecting(rule: str, parameters: dict[str, object], text: str, rejected: bool) -> None:
    evidence = getattr(rules, rule).function(pa.array([text], pa.large_string()), **parameters)[0]
    assert evidence.is_valid == rejected


def test_boilerplate_chain_cannot_eat_an_article(tmp_path: object) -> None:
    """With window 5 a chain of hits used to leave 谢谢。 alone; head and tail are capped and cut on their own."""
    path = f"{tmp_path}/words.txt"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("公众号\n点击上方\n版权归原作者所有\n")
    text = "点击上方关注。正文一句。关注公众号吧。正文二句。正文三句。版权归原作者所有。谢谢。"
    kept = rules.cut_boilerplate_ends(text, lexicon=path, window=5)
    assert "正文二句。正文三句。" in kept
    assert rules.cut_boilerplate_ends(text, lexicon=path, window=2, max_share=0.5) == "正文二句。正文三句。"
    assert rules.cut_boilerplate_ends("版权归原作者所有。", lexicon=path, max_share=1.0) == ""
