"""Sections of stages: read from JSON, and what the template needs to draw them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from raylib.report.sections import drawn_section, read_section
from raylib.stage.section import (
    Bar,
    Bars,
    Block,
    Histograms,
    Maps,
    Matrix,
    PairOfTexts,
    Pairs,
    Scatter,
    Section,
    Table,
    Text,
)

BLOCKS: list[Block] = [
    Text("共有三组重复的网页。"),
    Text("没有找到目标领域。", warning=True),
    Bars("簇的大小", [Bar("2", 30), Bar("3–5", 12, "最多")]),
    Matrix("来源", ["网页", "论坛"], [[4, 1], [1, 0]]),
    Scatter("估计与真值", "true", "estimated", [[0.5, 0.52]]),
    Table("混合", ["", "before"], [["新闻", "12"]]),
    Pairs("例子", [PairOfTexts("0.93", "今天天气很好", "今天天气好")]),
    Maps("地图", ["甲", "乙"], [(0.0, 1.0, 0, True, "春"), (2.0, 3.0, 1, False, "秋")], ["before", "after"]),
    Histograms("分数", [{"name": "q"}]),
]


def drawn(block: Block) -> dict[str, Any]:
    (made,) = drawn_section("stage", Section("标题", [block])).blocks
    return dict(made)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: type(b).__name__)
def test_every_kind_of_block_can_be_read_back(block: Block) -> None:
    data = orjson.loads(orjson.dumps(Section("标题", [block]).to_json()))
    assert orjson.loads(orjson.dumps(read_section(data).to_json())) == data
    assert type(read_section(data).blocks[0]) is type(block)


def test_a_block_of_an_unknown_kind_is_a_warning() -> None:
    (block,) = read_section({"title": "新", "blocks": [{"kind": "hologram", "title": "x"}]}).blocks
    assert block == Text("A block of kind 'hologram' cannot be drawn.", warning=True)


def test_bars_are_shares_of_the_longest_one() -> None:
    rows = drawn(Bars("大小", [Bar("a", 30), Bar("b", 12), Bar("c", 0)]))["rows"]
    assert [row["share"] for row in rows] == [100.0, 40.0, 0.0]
    assert drawn(Bars("空", []))["rows"] == []


def test_cells_are_shaded_by_the_root_of_their_count() -> None:
    cells = drawn(Matrix("来源", ["甲", "乙"], [[100, 25], [1, 0]]))["cells"]
    assert cells == [[(100, 1.0), (25, 0.5)], [(1, 0.1), (0, 0.0)]]


def test_pairs_show_their_difference() -> None:
    (item,) = drawn(Pairs("例子", [PairOfTexts("0.9", "今天天气很好", "今天天气好")]))["items"]
    assert item["html"] == "今天天气<del>很</del>好"


def test_maps_fit_their_square_and_fade_what_was_not_selected() -> None:
    block = Maps("图", ["甲", "乙"], [(-5.0, 0.0, 0, True, "春"), (5.0, 20.0, 1, False, "秋")], ["before", "after"])
    before, after = drawn(block)["drawn"]
    assert {(p["x"], p["y"]) for p in before["points"]} == {(0.0, 0.0), (1000.0, 1000.0)}
    assert (before["count"], after["count"]) == (2, 1)
    assert [p["alpha"] for p in before["points"]] == [0.7, 0.7]
    assert {p["text"]: p["alpha"] for p in after["points"]} == {"甲: 春": 0.7, "乙: 秋": 0.12}


def test_a_map_without_points_is_empty() -> None:
    (panel,) = drawn(Maps("图", [], [], ["before"]))["drawn"]
    assert (panel["count"], panel["points"]) == (0, [])
