"""Histograms of score columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from raylib.report.histograms import score_histograms

Columns = Mapping[str, Mapping[str, Mapping[str, int]]]


def only(columns: Columns) -> Mapping[str, Any]:
    made = score_histograms(columns)
    assert made is not None
    (item,) = made.items
    return item


def test_whole_numbers_get_a_bar_each() -> None:
    item = only({"轮数": {"scored": {"1": 30, "2": 50, "4": 10}, "kept": {"2": 45}}})
    assert [(bar["label"], bar["scored"], bar["kept"]) for bar in item["bars"]] == [
        ("1", 30, 0),
        ("2", 50, 45),
        ("3", 0, 0),
        ("4", 10, 0),
    ]
    assert (item["low"], item["high"]) == ("1", "4")
    assert item["note"] == "90 scored, 45 kept"


def test_the_tallest_bar_fills_the_drawing_and_all_stand_on_one_line() -> None:
    item = only({"q": {"scored": {"1": 30, "2": 60}, "kept": {"1": 15}}})
    assert [bar["h1"] for bar in item["bars"]] == [35.0, 70.0]
    assert [bar["h2"] for bar in item["bars"]] == [17.5, 0.0]
    assert {bar["y1"] + bar["h1"] for bar in item["bars"]} == {74.0}


def test_fractions_share_thirty_bins_and_none_is_lost() -> None:
    scored = {f"{i / 100:.2f}": 1 for i in range(1, 100)}
    item = only({"score": {"scored": scored, "kept": {"0.50": 1, "0.99": 1}}})
    assert len(item["bars"]) == 30
    assert sum(bar["scored"] for bar in item["bars"]) == 99
    assert sum(bar["kept"] for bar in item["bars"]) == 2
    assert " to " in item["bars"][0]["label"]


def test_a_few_outliers_do_not_stretch_the_axis() -> None:
    item = only({"perplexity": {"scored": {**{f"{100 + i}.5": 100 for i in range(40)}, "1e+06": 1}}})
    assert float(item["high"]) < 200
    assert item["bars"][-1]["scored"] >= 1, "the outlier is counted in the last bin"


def test_texts_are_ordered_by_frequency() -> None:
    item = only({"label": {"scored": {"百科": 4, "新闻": 9, "论坛": 4}, "kept": {"新闻": 5}}})
    assert [bar["label"] for bar in item["bars"]] == ["新闻", "百科", "论坛"]
    assert (item["low"], item["high"]) == ("新闻", "论坛")


def test_missing_values_are_noted_and_not_drawn() -> None:
    item = only({"ifd": {"scored": {"1": 3, "2": 4, "(none)": 5}}})
    assert item["note"] == "12 scored, 0 kept, 5 without a value"
    assert sum(bar["scored"] for bar in item["bars"]) == 7


def test_texts_that_look_like_numbers_without_size_are_texts() -> None:
    item = only({"label": {"scored": {"inf": 2, "nan": 3}}})
    assert [bar["label"] for bar in item["bars"]] == ["nan", "inf"]


def test_columns_that_were_only_kept_are_drawn_from_kept_records() -> None:
    item = only({"cluster": {"kept": {"0": 2, "1": 3}}})
    assert [bar["scored"] for bar in item["bars"]] == [2, 3]


@pytest.mark.parametrize("columns", [{}, {"q": {"scored": {"0.5": 9}}}, {"q": {"scored": {"(none)": 9}}}])
def test_columns_without_a_shape_are_left_out(columns: Columns) -> None:
    assert score_histograms(columns) is None


def test_a_column_that_a_later_stage_replaced_is_drawn_as_kept() -> None:
    """`cluster` writes numbers where `minhash_dedup: {mark: true}` wrote ids, or nothing."""
    for scored in ({"(none)": 60}, {"文-1": 2, "(none)": 58}, {"文-1": 2, "(other)": 58}):
        item = only({"cluster": {"scored": scored, "kept": {"0": 20, "1": 40}}})
        assert [(bar["label"], bar["scored"], bar["kept"]) for bar in item["bars"]] == [("0", 20, 20), ("1", 40, 40)]
    item = only({"label": {"scored": {"百科": 4, "(other)": 9}, "kept": {"新闻": 1, "百科": 3}}})
    assert item["note"] == "13 scored, 4 kept", "a text that was counted among others is no other column"
