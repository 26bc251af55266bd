"""Spellings of telephone numbers that people make up, and numbers that are nobody's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleaning import rules

WIDE = str.maketrans("0123456789+-() ", "０１２３４５６７８９＋－（） ")
NUMERALS = str.maketrans("0123456789", "零一二三四五六七八九")
LABELS = ("电话：", "手机号 ", "联系方式: ", "请拨打", "手机：", "Tel: ", "联系电话", "")
ENDS = ("。", "，谢谢", "\n", "（王先生）", "")

prefixes = st.sampled_from(["13", "15", "17", "18", "19"])


@st.composite
def mobiles(draw: st.DrawFn) -> str:
    """A mobile number as somebody would write it."""
    digits = draw(prefixes) + draw(st.text("0123456789", min_size=9, max_size=9))
    mark = draw(st.sampled_from(["", " ", "-", "."]))
    number = mark.join((digits[:3], digits[3:7], digits[7:]))
    number = draw(st.sampled_from(["", "", "+86 ", "+86-", "+86", "86-", "0086 "])) + number
    return number.translate(WIDE) if draw(st.booleans()) and mark != "." else number


@st.composite
def landlines(draw: st.DrawFn) -> str:
    """A number of a fixed line with its area."""
    area = draw(st.sampled_from(["010", "021", "020", "0755", "0571", "0311"]))
    local = draw(st.sampled_from("2345678")) + draw(st.text("0123456789", min_size=7, max_size=7))
    mark = draw(st.sampled_from(["-", " "]))
    form = draw(
        st.sampled_from([f"{area}{mark}{local}", f"({area}){local}", f"（{area}）{local}", f"({area}) {local}"])
    )
    return form.translate(WIDE) if draw(st.booleans()) else form


def cleaned(text: str) -> str:
    return rules.remove_personal_data(text)


@given(mobiles(), st.sampled_from(LABELS), st.sampled_from(ENDS))
@settings(max_examples=300)
def test_every_spelling_of_a_mobile_is_replaced(number: str, label: str, end: str) -> None:
    assert cleaned(f"报名请早，{label}{number}{end}") == f"报名请早，{label}[手机]{end}"


@given(landlines(), st.sampled_from(LABELS), st.sampled_from(ENDS))
@settings(max_examples=300)
def test_every_spelling_of_a_landline_is_replaced(number: str, label: str, end: str) -> None:
    assert cleaned(f"报名请早，{label}{number}{end}") == f"报名请早，{label}[电话]{end}"


@given(prefixes, st.text("0123456789", min_size=9, max_size=9), st.sampled_from(["电话", "手机：", "联系方式是"]))
@settings(max_examples=100)
def test_chinese_numerals_are_digits_too(prefix: str, rest: str, label: str) -> None:
    number = f"{prefix}{rest}".translate(NUMERALS)
    assert cleaned(f"报名请早，{label}{number}。") == f"报名请早，{label}[手机]。"


@given(st.integers(10**10, 10**11 - 1), st.sampled_from(["元", "吨", "人", "股", "立方米", "平方公里"]))
@settings(max_examples=100)
def test_amounts_stay(number: int, unit: str) -> None:
    text = f"全年共计{number}{unit}，比上年增长3.5%。"
    assert cleaned(text) == text


@given(
    st.integers(10**10, 10**11 - 1),
    st.sampled_from(["订单号", "运单号：", "流水号 ", "快递单号：", "专利号", "股票代码"]),
)
@settings(max_examples=100)
def test_numbers_of_orders_stay(number: int, label: str) -> None:
    text = f"您的{label}{number}，请保存好。"
    assert cleaned(text) == text


@given(
    st.lists(st.integers(0, 99), min_size=3, max_size=3),
    st.sampled_from(["v{}.{}.{}", "版本 {}.{}.{}", "{}.{}.{} 版", "升级到 {}.{}.{}-rc1"]),
)
@settings(max_examples=100)
def test_versions_stay(parts: list[int], form: str) -> None:
    text = f"请安装{form.format(*parts)}，然后重启。"
    assert cleaned(text) == text


@given(st.text("0123456789", min_size=9, max_size=9), st.sampled_from(["ISBN 978-{}-{}-{}-{}", "ISBN：978{}{}{}{}"]))
@settings(max_examples=100)
def test_book_numbers_stay(digits: str, form: str) -> None:
    text = f"本书 {form.format(digits[0], digits[1:4], digits[4:8], digits[8])}，定价 59.80 元。"
    assert cleaned(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "客服热线400-820-8820，全天开通。",
        "拨打 800-810-8888 咨询。",
        "火警119，急救120，市长热线12345，消费者投诉12315。",
        "银行客服95588，10086 和 10010 是运营商的。",
    ],
)
def test_hotlines_stay(text: str) -> None:
    assert cleaned(text) == text
