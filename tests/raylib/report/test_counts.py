"""Counts: how values are counted, and that counts add up over shards."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.report.counts import OTHER_SOURCES, Counts, add_counts, largest_sources, summed_splits, value_counts


def test_counts_add_up_at_every_depth() -> None:
    total: Counts = {"records_in": 2, "reasons": {"length/too_short_or_long": 1}, "histogram_in": [0, 1]}
    part: Counts = {
        "records_in": 3,
        "reasons": {"length/too_short_or_long": 2, "read/wrong_type": 1},
        "histogram_in": [4, 0],
        "sources": {"论坛": {"in": 3}},
    }
    assert add_counts(total, part) is total
    assert total == {
        "records_in": 5,
        "reasons": {"length/too_short_or_long": 3, "read/wrong_type": 1},
        "histogram_in": [4, 1],
        "sources": {"论坛": {"in": 3}},
    }


def test_adding_does_not_change_what_is_added() -> None:
    part: Counts = {"sources": {"论坛": {"in": 3}}, "histogram_in": [1]}
    total: Counts = {}
    add_counts(total, part)
    add_counts(total, part)
    assert part == {"sources": {"论坛": {"in": 3}}, "histogram_in": [1]}
    assert total["sources"] == {"论坛": {"in": 6}}


def test_lists_of_different_lengths_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="shorter"):
        add_counts({"histogram_in": [1, 2]}, {"histogram_in": [1]})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["新闻", "百科", "新闻", None], {"新闻": 2, "百科": 1, "(none)": 1}),
        ([True, False, True], {"true": 2, "false": 1}),
        ([1, 2, 2], {"1": 1, "2": 2}),
        ([0.12345, 0.1234, 12345.0, 0.0], {"0": 1, "0.123": 2, "1.23e+04": 1}),
        ([0.5, None, math.nan, math.inf], {"0.5": 1, "(none)": 3}),
        ([[1], [2]], {}),
    ],
)
def test_values_are_counted_by_their_text(values: list[object], expected: dict[str, int]) -> None:
    assert value_counts(pa.chunked_array([pa.array(values)])) == expected


def test_rare_texts_are_counted_together() -> None:
    values = [f"第{i:03d}类" for i in range(250)] + ["第007类"]
    counts = value_counts(pa.chunked_array([pa.array(values)]))
    assert counts["第007类"] == 2
    assert counts["(other)"] == 50
    assert sum(counts.values()) == 251


def test_sums_of_scores_become_means_in_the_order_of_the_folders() -> None:
    totals = summed_splits(
        {
            "百科": {"records": 2, "characters": 90, "tokens": 50, "scores": {"q": {"sum": 1.5, "count": 2}}},
            "新闻": {"records": 1, "characters": 10, "scores": {}},
        }
    )
    assert list(totals) == ["新闻", "百科"]
    assert totals["百科"] == {"records": 2, "characters": 90, "tokens": 50, "mean": {"q": 0.75}}
    assert totals["新闻"] == {"records": 1, "characters": 10, "mean": {}}


@given(
    st.dictionaries(st.text(max_size=3), st.fixed_dictionaries({"in": st.integers(0, 9), "kept": st.integers(0, 9)}))
)
def test_the_largest_sources_and_the_others_as_one(sources: dict[str, dict[str, int]]) -> None:
    shown = largest_sources(sources, 5)
    assert len(shown) == min(len(sources), 6)
    for what in ("in", "kept"):
        assert sum(c.get(what, 0) for c in shown.values()) == sum(c[what] for c in sources.values())
    if len(sources) > 5:
        assert list(shown)[-1] == OTHER_SOURCES
        assert shown[OTHER_SOURCES]["sources"] == len(sources) - 5
        again = largest_sources(shown, 2)
        assert again[OTHER_SOURCES]["sources"] == len(sources) - 2, "others are never counted as one source"
