"""The places where two texts differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raylib.report.edits import Change, changes, differing_parts

WORDS = st.text("甲乙丙丁ab \n", max_size=40)


def test_neighbouring_changes_are_one_edit() -> None:
    assert changes("价格是１２元整。", "价格是12元整。") == [Change(3, 5, 3, 5)]
    assert changes("Ａ和Ｂ", "A和B") == [Change(0, 3, 0, 3)], "one unchanged character apart"
    assert len(changes("Ａ和他和Ｂ", "A和他和B")) == 2


@given(WORDS, WORDS)
def test_the_changes_make_the_new_text_of_the_old(before: str, after: str) -> None:
    made, place = [], 0
    for change in changes(before, after):
        made += [before[place : change.start], after[change.new_start : change.new_end]]
        place = change.end
    assert "".join([*made, before[place:]]) == after


def test_short_texts_stay_whole() -> None:
    assert differing_parts("甲" * 50, "乙", 50) == ("甲" * 50, "乙")


def test_long_texts_are_cut_to_where_they_differ() -> None:
    before = "前" * 5000 + "旧" + "后" * 5000
    old, new = differing_parts(before, before.replace("旧", ""), 1000)
    assert (len(old), len(new)) == (401, 400)
    assert changes(old, new) == [Change(200, 201, 200, 200)]


def test_a_part_that_differs_too_far_is_cut() -> None:
    before = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))
    old, new = differing_parts(before, before[::-1], 1000)
    assert (old, new) == (before[:1000], before[::-1][:1000])


def test_a_text_that_lost_its_end_is_cut_there() -> None:
    old, new = differing_parts("文" * 5000 + "尾巴", "文" * 5000, 1000)
    assert (old, new) == ("文" * 200 + "尾巴", "文" * 200)
