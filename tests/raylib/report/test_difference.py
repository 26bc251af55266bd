"""The difference of two texts as HTML."""

from __future__ import annotations

import html
import re

import pytest

from raylib.report.difference import difference
from tests.texts import ARTICLE


def text_of_side(shown: str, removed: str) -> str:
    """One of the two texts, read back from the HTML."""
    shown = re.sub(rf"<{removed}>.*?</{removed}>", "", shown, flags=re.S)
    shown = re.sub(r"<summary>.*?</summary>", "", shown)
    return html.unescape(re.sub(r"</?(?:del|ins|details)[^>]*>", "", shown))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{ARTICLE}联系微信abc123", ARTICLE),
        (ARTICLE, ARTICLE.replace("茶农", "农户").replace("，", ",")),
        ("", "春眠不觉晓"),
        ("處處聞啼鳥", ""),
        ("同样的话", "同样的话"),
    ],
)
def test_both_texts_can_be_read_from_the_difference(before: str, after: str) -> None:
    shown = difference(before, after)
    assert text_of_side(shown, "ins") == before
    assert text_of_side(shown, "del") == after


def test_difference_escapes_and_folds() -> None:
    shown = difference(f"<b>{ARTICLE}</b>http://a.cn", f"<b>{ARTICLE}</b>")
    assert "&lt;b&gt;" in shown
    assert "<del>http://a.cn</del>" in shown
    assert "unchanged</summary>" in shown
    assert "<b>" not in shown


def test_inserted_html_is_escaped() -> None:
    assert difference("天气", "天气<img src=x onerror=alert(1)>").endswith(
        "<ins>&lt;img src=x onerror=alert(1)&gt;</ins>"
    )


def test_white_space_in_a_change_is_visible() -> None:
    assert difference("段落一\n\n段落二", "段落一段落二") == "段落一<del>↵\n↵\n</del>段落二"
    assert difference("\u3000春天\t来了", "春天来了") == "<del>␣</del>春天<del>⇥</del>来了"


def test_only_long_unchanged_parts_are_folded() -> None:
    assert "<details" not in difference("甲" * 150 + "坏", "甲" * 150)
    folded = difference("甲" * 200 + "坏" + "乙" * 200, "甲" * 200 + "乙" * 200)
    assert folded.count("<summary>160 unchanged</summary>") == 2
    assert "甲" * 40 + "<del>坏</del>" + "乙" * 40 + "<details" in folded
