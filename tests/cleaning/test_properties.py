"""What rewriting rules may never do to a text: take letters, digits or operators that they do not own."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleaning import rules
from cleaning.rule import RewritingRule
from raylib.recipe import Recipe, StageSpec, source_chain
from raylib.recipe.chains import RECIPES, source_names

# Rules that are there to remove something: lines and sentences of pages, links, marks of markup, personal data.
REMOVING = {
    *("cut_boilerplate_ends", "cut_ends", "cut_partial_ends", "drop_lines", "drop_repeated_lines"),
    *("drop_short_sentences", "drop_unfinished_tail", "extract_main", "remove_counters", "remove_mentions"),
    *("remove_personal_data", "remove_phrases", "remove_repeats", "remove_urls", "remove_watermarks"),
    *("remove_wiki_references", "strip_markup"),
}
# And those that write a character in another way: as many as before.
CONVERTING = {"to_simplified", "unify_quotes"}


def ready_rules() -> dict[str, StageSpec]:
    """Every rewriting rule of the ready chains with its parameters; the reference's chains are as they were found."""
    chains = [source_chain(name) for name in source_names() if "reference" not in name]
    chains.append(list(Recipe.from_file(RECIPES / "pretrain_zh.yaml").stages))
    specs = [spec for chain in chains for spec in chain if isinstance(getattr(rules, spec.name, None), RewritingRule)]
    return {f"{s.name} {dict(s.parameters) or ''}".strip(): s for s in specs}


READY = ready_rules()
KEEPING = [name for name, spec in READY.items() if spec.name not in REMOVING]

WORDS = """水库 修好 以后 的 农田 3.14 91.5% 1,024 二〇二三年 一○六七 ¥59.80 £12 €7 3‰ 25℃ ±0.5 6~10 ６～１０
a+b a=b i++ == != <= -> // && || C++ x^2 O(n) H2O μm café Москва 犇 㙍 𬭎 喆 ①② Ⅲ （一） 第十二条 第3章 《诗经》 “好”
「静」 王安石. 约翰·史密斯 f(x) [1] {k: v} `a+b` $x_1$ $$ \\frac{1}{2} 10:30 192.168.0.1 v1.2.3 a_b --flag README.md"""
words = st.sampled_from(WORDS.split())
joints = st.sampled_from(
    ["", " ", "  ", "，", "。", "\n", "\n\n", "、", "：", "？", "!", "……", "——", "\t", "\u3000", "\n    "]
)
texts = st.lists(st.tuples(words, joints), max_size=40).map(lambda parts: "".join(a + b for a, b in parts))
SEGMENTS = "小虫儿 的 名字 草丛 里 住着 一只 3 只 Python 。 ，"
segmented = st.lists(st.sampled_from(SEGMENTS.split()), max_size=30).map(" ".join)


def owned(text: str) -> Counter[str]:
    """Letters, digits and signs of a text, however wide; white space and the marks of sentences are no part of them."""
    plain = unicodedata.normalize("NFKC", text)
    return Counter(c for c in plain if c.isalnum() or c in "+=<>|&^/*%±℃‰¥£€$_~\\{}@#")


def applied(spec: StageSpec, text: str) -> str:
    rule = getattr(rules, spec.name)
    result: str = rule.function(pa.array([text], pa.large_string()), **spec.parameters)[0].as_py()
    return result


def test_there_are_rules_of_both_kinds() -> None:
    assert {spec.name for spec in READY.values()} >= {"normalise_characters", "keep_valid_characters", "strip_markup"}
    assert len(KEEPING) >= 8


@pytest.mark.parametrize("name", KEEPING)
@given(text=st.one_of(texts, segmented))
@settings(max_examples=80)
def test_letters_digits_and_operators_stay(name: str, text: str) -> None:
    spec = READY[name]
    after = applied(spec, text)
    if spec.name in CONVERTING:
        assert len(after) == len(text)
        return
    assert owned(after) == owned(text)


@pytest.mark.parametrize("name", list(READY))
@given(text=st.one_of(texts, segmented))
@settings(max_examples=40)
def test_no_rule_writes_what_was_not_there(name: str, text: str) -> None:
    """A rule that removes something removes it, and puts nothing else in its place but a placeholder or a mark."""
    if READY[name].name in ("to_simplified", "unify_quotes", "strip_markup"):
        return
    after = owned(applied(READY[name], text))
    before = owned(text)
    placeholders = Counter("邮箱身份证号信用代码银行卡号证件号车牌手机电话账号IP姓名住址位置")
    assert not after - before - placeholders, (text, after - before)


@pytest.mark.parametrize("name", [n for n in READY if READY[n].name in REMOVING and READY[n].name != "extract_main"])
@given(lines=st.lists(st.sampled_from(range(12)), min_size=3, max_size=8, unique=True))
@settings(max_examples=30)
def test_whole_sentences_of_prose_stay_with_their_numbers(name: str, lines: list[int]) -> None:
    text = "\n".join(PROSE[i] for i in lines)
    assert applied(READY[name], text) == text


PROSE = (
    "一九三七年夏天的水位是12.5米，比前一年低0.8米，渠里的水只够浇半数的田。",
    "实验重复了3次，误差为±0.5%，温度在25℃到30℃之间，结果与前人的报告一致。",
    "第十二条规定，逾期不交的，按日加收3‰的滞纳金，最多不超过本金的20%。",
    "这台机器卖¥1,280，比去年便宜了£20，店里的人说年底还会再降一些。",
    "如果a+b>c，那么x=(a-b)/2，否则要从头再算一遍，直到误差小于0.01为止。",
    "他在日记里写道：“今天下雨，没有出门，读完了《史记》的第三卷。”",
    "苏轼二〇岁中进士，王安石比他大十五岁，两个人的文章都收在这本选集里。",
    "C++比Python快，但是i++与++i的差别，初学的人总要花一些时间才能弄明白。",
    "车站在山的另一边，从村口走过去要40分钟，路上会经过两座石桥和一片竹林。",
    "她把92号汽油的价格记在本子上：7.85元一升，比上个月涨了0.12元。",
    "老周每天6:30起床，先看闸门，再看水尺，最后把各村的用水量报给县里。",
    "这种鱼身长约10~15厘米，背部青灰色，腹部银白色，喜欢在水草多的地方觅食。",
)
