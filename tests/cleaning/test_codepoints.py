"""Flat code points: decoded once for the same memory, counted for each text, translated by a table."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaning.codepoints import codepoints, gb2312_table, han_flags, share, space_flags, table_of, translate

texts = st.lists(st.one_of(st.none(), st.text(alphabet="好a1 ，。\u3000é😀𠮷\n", max_size=10)), max_size=8)


def array(listed: list[str | None]) -> pa.Array:
    return pa.array(listed, pa.large_string())


@given(texts, st.integers(0, 3))
def test_the_view_holds_every_text_of_any_slice(listed: list[str | None], begin: int) -> None:
    view = codepoints(array(listed).slice(begin))
    rows = [view.values[a:b].tobytes().decode("utf-32-le") for a, b in itertools.pairwise(view.starts.tolist())]
    assert rows == [text or "" for text in listed[begin:]]
    assert view.lengths.tolist() == [len(row) for row in rows]


def test_rules_of_a_chain_share_one_view() -> None:
    """A table gives a new array object at every look; it is the memory that is the same."""
    table = pa.table({"text": array(["天地", "玄黄"])})
    first, second = table["text"].chunk(0), table["text"].chunk(0)
    assert first is not second
    assert codepoints(first) is codepoints(second)


def test_another_stretch_of_the_same_memory_is_another_view() -> None:
    whole = array(["天地", "玄黄", "宇宙"])
    assert codepoints(whole.slice(1)).starts.tolist() == [0, 2, 4]
    assert codepoints(whole.slice(0, 2)).values.tolist() == codepoints(whole).values[:4].tolist()
    assert codepoints(whole.slice(1, 1)).values.tobytes().decode("utf-32-le") == "玄黄"


def test_memory_that_is_used_again_is_not_taken_for_the_old_texts() -> None:
    for i in range(200):
        text = f"第{i:04d}篇"
        assert codepoints(array([text])).values.tobytes().decode("utf-32-le") == text


@given(texts)
def test_flags_are_counted_for_each_text(listed: list[str | None]) -> None:
    view = codepoints(array(listed))
    assert view.count(han_flags(view)).tolist() == [sum(c in "好𠮷" for c in t or "") for t in listed]
    assert view.count(space_flags(view)).tolist() == [sum(c.isspace() for c in t or "") for t in listed]


@given(texts)
def test_translation_by_a_table_equals_replacement(listed: list[str | None]) -> None:
    table = np.arange(0x10000, dtype=np.uint32)
    table[ord("a")], table[ord("，")] = ord("é"), ord(",")
    expected = [(t or "").replace("a", "é").replace("，", ",") for t in listed]
    assert translate(array(listed), table).to_pylist() == expected


@pytest.mark.parametrize(
    ("character", "member"), [("一", True), ("A", True), ("龘", False), ("㐀", False), ("，", True)]
)
def test_gb2312_holds_what_the_codec_can_write(character: str, member: bool) -> None:
    assert gb2312_table()[ord(character)] == member


def test_a_class_table_has_one_entry_for_everything_above() -> None:
    assert not table_of("a😀")[0xFFFF]
    assert table_of("a", above=True)[0xFFFF]


def test_a_share_of_nothing_is_what_the_caller_says() -> None:
    assert share(np.array([0, 1]), np.array([0, 4]), empty=0.5).tolist() == [0.5, 0.25]
