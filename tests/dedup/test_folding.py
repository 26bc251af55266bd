"""Folding: pairs that are the same at each level, pairs that never are, and levels that refine one another."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import get_args

import pyarrow as pa
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dedup import form_kernels, gap_kernels
from dedup.characters import DROP, EXPAND, SPECIAL, Class
from dedup.folding import Level, fold, fold_hashes, folded_codepoints, level_for
from dedup.shingles import tokens
from tests.dedup.folding_oracle import folded, unified

LEVELS: tuple[Level, ...] = get_args(Level)

# Made with the first version that has these levels.
GOLDEN: dict[Level, str] = {
    "none": "0781a025d0726fe8bb328e5c1010070b",
    "strict": "557aeed29055a914c7557180f317450a",
    "standard": "1e9f54bc88993e627750333726cefc12",
    "loose": "c597d304d9513f42ccc1aee9240a565a",
}

SAME: dict[Level, list[tuple[str, str]]] = {
    "strict": [
        ("ＡＢＣ１２３", "ABC123"),
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("使用 Python 编程", "使用Python编程"),
        ("你好，世界！", "你好,世界!"),
        ("（１＋２）", "(1+2)"),
        ("1，234", "1,234"),
        ("a  b", "a b"),
        (" 标题\u3000", "标题"),
        ("第一段\r\n\r\n第二段", "第一段\n第二段"),
        ("x−1", "x-1"),
        ("好\u200b的", "好的"),
        ("e\u0301t", "ét"),
    ],
    "standard": [
        ("你好，世界。", "你好 世界"),
        ("Hello, World!", "hello world"),
        ("《红楼梦》", "“红楼梦”"),
        ("中国——北京", "中国北京"),
        ("A、B和C", "A，B和C"),
        ("A、B", "A, B"),
        ("他说：“你好！”", "他说你好"),
        ("x + y", "x+y"),
        ("ﬁne", "fine"),
        ("5㎏", "5kg"),
        ("don’t", "don't"),
        ("等等……", "等等..."),
        ("3、5", "3, 5"),
        ("Python。Java", "Python. Java"),
        ("（中国）", "中国"),
        ("好。\n\n好", "好好"),
    ],
    "loose": [("data base", "database"), ("★你好★", "你好"), ("好😀的", "好的"), ("ok 👍", "ok")],
}

DIFFERENT = [
    ("①3+5=8，对吗", "13+5=8，对吗"),
    ("3①", "31"),
    ("⒈5倍", "1.5倍"),
    ("return !done", "return done"),
    ("while (!ok)", "while (ok)"),
    ("3➕5等于几", "3➖5等于几"),
    ("正确：✓", "正确：✗"),
    ("❶对❷错", "❷对❶错"),
    *itertools.combinations(["12-3", "12*3", "12.3", "123", "12/3", "12+3", "12:3", "12%3", "12^3"], 2),
    *itertools.combinations(["C", "C++", "C#", "C--"], 2),
    *itertools.combinations(["学C", "学C++", "学C#", "学C语言"], 2),
    (".NET", "NET"), ("用.NET写", "用NET写"), ("F#", "F"), ("#5", "5"),
    ("-5", "5"), ("温度-5度", "温度5度"), ("5%", "5"), ("5‰", "5%"), ("$5", "5"), ("￥5", "$5"), ("5°", "5"),
    ("3.14", "314"), ("3.14", "3,14"), (".5", "5"), ("共.5米", "共5米"), ("1.2", "12"), ("v1.2.3", "v1.23"),
    ("a<b", "a>b"), ("a≤b", "a≥b"), ("a!=b", "a=b"), ("a==b", "a=b"),
    ("x+y", "xy"), ("x-y", "xy"), ("x·y", "xy"), ("x*y", "xy"), ("a|b", "a&b"), ("~x", "x"),
    ("a*(b+c)", "a*b+c"), ("(a+b)*c", "a+b*c"), ("f(x)", "fx"), ("[0,1)", "(0,1)"), ("区间[0,1)", "区间(0,1)"),
    ("10²", "102"), ("x₁", "x1"), ("1½", "11/2"), ("5!", "5"), ("n!", "n"), ("共5！", "共5"),
    ("3 kg", "3 g"), ("5mW", "5MW"), ("5 mW", "5 MW"), ("8Mb", "8MB"), ("5′", "5″"),
    ("2020-1-12", "2020-11-2"), ("12:30", "1230"), ("3:4", "34"), ("3 : 4", "3, 4"),
    ("3、5", "35"), ("3 5", "35"), ("3。5", "35"), ("1,2", "12"), ("1,-2", "1-2"), ("(1, -2)", "(1-2)"),
    ("利润=收入-成本", "利润=收入成本"), ("长×宽", "长宽"), ("长*宽", "长宽"), ("和/或", "和或"),
    ("a_b", "ab"), ("a.b", "ab"), ("user@host", "userhost"), ("std::cout", "stdcout"), ("don't", "dont"),
]  # fmt: skip


@pytest.mark.parametrize(("level", "pair"), [(level, pair) for level, pairs in SAME.items() for pair in pairs])
def test_what_a_level_ignores_the_next_ones_ignore_too(level: Level, pair: tuple[str, str]) -> None:
    left, right = pair
    at = LEVELS.index(level)
    assert [fold(left, one) == fold(right, one) for one in LEVELS] == [i >= at for i in range(len(LEVELS))]


@pytest.mark.parametrize("pair", DIFFERENT)
def test_what_no_level_ignores(pair: tuple[str, str]) -> None:
    for level in LEVELS:
        assert fold(pair[0], level) != fold(pair[1], level), level
        assert fold(pair[0], level, marks=True) != fold(pair[1], level, marks=True) or level != "strict", level


def arithmetic() -> Iterator[str]:
    rng = random.Random(4)
    for a, b in ((rng.randrange(2, 99), rng.randrange(2, 99)) for _ in range(40)):
        yield from (f"{a}{sign}{b}" for sign in ("+", "-", "*", "/", "×", "÷", "^", ".", "=", "<", ">", "%", ":"))
        yield from (f"{a}{b}", f"-{a}{b}", f"${a}{b}", f"{a}{b}%", f"{a}{b}!", f".{a}{b}", f"({a})-({b})")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("frame", ["{}", "计算 {} 的值。", "What is {}?", "答案是{}，对吗？", "x={}, y"])
def test_hundreds_of_expressions_all_stay_apart(level: Level, frame: str) -> None:
    texts = sorted({frame.format(e) for e in arithmetic()})
    assert len(texts) > 700
    hashes = fold_hashes(pa.array(texts, pa.large_string()), level)
    assert len({tuple(h) for h in hashes.tolist()}) == len(texts)


def test_dates_versions_and_units_stay_apart() -> None:
    rng = random.Random(6)
    texts = {
        f"{y}-{m}-{d}"
        for y, m, d in ((rng.randrange(1990, 2030), rng.randrange(1, 13), rng.randrange(1, 29)) for _ in range(200))
    }
    texts |= {f"{a}.{b}.{c}" for a in range(3) for b in range(12) for c in range(12)}
    texts |= {
        f"{n} {unit}" for n in range(1, 30) for unit in ("g", "kg", "mg", "m", "mm", "MB", "Mb", "GB", "mW", "MW", "℃")
    }
    for level in LEVELS:
        hashes = fold_hashes(pa.array(sorted(texts), pa.large_string()), level)
        assert len({tuple(h) for h in hashes.tolist()}) == len(texts), level


def test_words_of_english_keep_the_signs_of_numbers() -> None:
    for left, right in [
        ("12-3", "12*3"),
        ("12.3", "123"),
        ("C++ code", "C code"),
        ("C#", "C"),
        ("-5", "5"),
        ("5%", "5"),
    ]:
        view = tokens(pa.array([left, right], pa.large_string()), "word")
        assert view.values[: view.starts[1]].tolist() != view.values[view.starts[1] :].tolist(), (left, right)


CHARACTERS = "好的。，、…—《“”‘（ \n\t\u3000A1ｂＺzﬁé\u0301①㎡℃㍿½´²😀★.,;:!?'\"()[-+*/=<%#$_·~ßİ\u200b가カｶﾞ𝐀𠀀"
TEXTS = st.text(alphabet=CHARACTERS, max_size=12)


@settings(max_examples=150)
@given(st.lists(TEXTS, max_size=5), st.sampled_from(LEVELS))
def test_the_fast_form_equals_the_definition(texts: list[str], level: Level) -> None:
    view = folded_codepoints(pa.array(texts, pa.large_string()), level)
    found = [
        view.values[a:b].astype("<u4").tobytes().decode("utf-32-le")
        for a, b in itertools.pairwise(view.starts.tolist())
    ]
    assert found == [folded(text, level) for text in texts]


WORDS = [
    "Hello",
    "5 mW",
    "3.14",
    "f(x)",
    "don't",
    "C++",
    "你好，",
    "。\n\n",
    "——",
    " \t",
    "e\u0301",
    "12:30",
    "a, b",
    "℃！",
    "★",
]
ANY = st.lists(st.one_of(st.text(max_size=6), st.text(CHARACTERS, max_size=6), st.sampled_from(WORDS)), max_size=9)


@settings(max_examples=300)
@given(st.lists(ANY.map("".join), max_size=4), st.sampled_from(LEVELS), st.booleans())
@example(["a\tb", "a\nb", "e\x01\u0301", "\x01\u0301", "好\u0301", "가\u11a8"], "strict", False)
@example(["0 A", " A", "1AbC", "1 AbC", "1  Ab", "A. B", "A.好", "A。B", "3, 5", "a·b", "a · b"], "standard", False)
def test_texts_of_all_kinds_equal_the_definition(texts: list[str], level: Level, marks: bool) -> None:
    marks = marks and level != "loose"
    array = pa.chunked_array([pa.array(["x", *texts], pa.large_string())]).slice(1).combine_chunks()
    view = folded_codepoints(array, level, marks=marks)
    found = [
        view.values[a:b].astype("<u4").tobytes().decode("utf-32-le")
        for a, b in itertools.pairwise(view.starts.tolist())
    ]
    assert found == [unified(text, level) if marks else folded(text, level) for text in texts]


def test_the_compiled_loops_know_classes_and_forms_by_the_same_numbers() -> None:
    named = {"SPACE": "BLANK", "COMMA": "COMMAS"}
    for member in Class:
        if member != Class.DASH:
            assert getattr(gap_kernels, "_" + named.get(member.name, member.name)) == member
    assert (form_kernels._DROP, form_kernels._EXPAND, form_kernels._SPECIAL) == (DROP, EXPAND, SPECIAL)


def texts_as_they_come() -> list[str]:
    """Texts of many kinds, made of the same sentences in many orders."""
    sentences = [
        "The quick brown fox's den (see fig. 3.2) isn't far: 1,200 m, i.e. 0.75 miles!",
        "今天的气温是-5℃，比昨天低了3.5%；明天会更冷吗？",
        "def area(r):\n\treturn 3.14 * r ** 2  # C++ users: M_PI\n",
        "《红楼梦》第12回——“好了歌”：世人都晓神仙好，惟有功名忘不了！",
        "Naïve café: e\u0301te\u0301, Straße, ﬁnal ½ cup… ②号 ㎡ ＡＢＣ",
        "使用 Python 3.11（64 位）运行 a.b() != c, 输出 ★★★ 😀",
        "Q: 5 MW or 5 mW? A) 12:30, B) 3、5 and 7.",
        "。。。", "", "ｶﾞｲﾄﾞ가각 𝐀𠀀\u200b x² n! .NET",
    ]  # fmt: skip
    rng = random.Random(22)
    return [
        rng.choice(["", " ", "\n", "　"]).join(rng.choices(sentences, k=rng.randrange(1, 6))) for _ in range(400)
    ] + sentences


@pytest.mark.parametrize(("level", "expected"), GOLDEN.items())
def test_hashes_do_not_change_because_saved_indexes_depend_on_them(level: Level, expected: str) -> None:
    texts = pa.array(texts_as_they_come(), pa.large_string())
    shingles = folded_codepoints(texts, level, marks=True)
    everything = fold_hashes(texts, level).tobytes() + shingles.values.tobytes() + shingles.starts.tobytes()
    assert xxhash.xxh3_128_hexdigest(everything) == expected


@settings(max_examples=150)
@given(TEXTS, TEXTS)
@example("12-3", "12.3")
@example("Ｃ＋＋", "C++")
@example("", " ")
def test_texts_have_one_hash_exactly_if_they_fold_to_one_text(left: str, right: str) -> None:
    """The other texts differ from the first in what some level ignores, and in what none does."""
    variants = (left.upper(), " ".join(left), left.replace("。", ","), left.replace("-", "+"), f"{left}。", left[1:])
    texts = [left, right, *variants]
    for level in LEVELS:
        hashes = [tuple(one) for one in fold_hashes(pa.array(texts, pa.large_string()), level).tolist()]
        meant = [folded(text, level) for text in texts]
        for one, other in itertools.combinations(range(len(texts)), 2):
            same = hashes[one] == hashes[other]
            assert same == (meant[one] == meant[other]), (level, texts[one], texts[other])


@settings(max_examples=150)
@given(TEXTS, TEXTS, st.sampled_from(["none", "strict", "standard"]))
@example("5】 !", "5】!", "strict")
@example("5: 【3", "5:【3", "strict")
def test_each_level_refines_the_next(left: str, right: str, level: Level) -> None:
    looser = LEVELS[LEVELS.index(level) + 1]
    others = (right, fold(left, level), " ".join(left), left.replace(" ", "\n"), left.replace("。", "。 "))
    same = [other for other in others if fold(left, level) == fold(other, level)]
    assert {fold(other, looser) for other in same} <= {fold(left, looser)}


@settings(max_examples=100)
@given(TEXTS, st.integers(0, 999), st.integers(0, 999), st.text(alphabet="。，、 ,.!?:;\"'()—《》…", max_size=3))
def test_two_numbers_never_become_one(around: str, left: int, right: int, between: str) -> None:
    for level in LEVELS[1:]:
        apart, together = f"值{left}{between}{right}值", f"值{left}{right}值"
        assert between == "" or fold(apart, level) != fold(together, level)
    assert fold(around, "strict") == fold(fold(around, "strict"), "strict")


def test_the_level_of_records_follows_their_kind() -> None:
    document, chat = pa.table({"id": ["1"], "text": ["a"]}), pa.table({"id": ["1"], "messages": [[]]})
    assert [level_for("auto", table) for table in (document, chat)] == ["standard", "strict"]
    assert [level_for("loose", table) for table in (document, chat)] == ["loose", "loose"]
