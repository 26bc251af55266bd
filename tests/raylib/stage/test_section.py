"""Blocks of a report: the JSON that `sections.json` holds, and that the report's template reads."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import get_args

import pytest

from raylib.report.sections import read_section
from raylib.stage import Section
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
    Table,
    Text,
)

BLOCKS: list[tuple[Block, str]] = [
    (Text("3 clusters."), '{"kind": "text", "text": "3 clusters."}'),
    (Text("Look.", warning=True), '{"kind": "text", "warning": true, "text": "Look."}'),
    (
        Bars("Sizes", [Bar("2–3", 5, "12 records"), Bar("4–7", 1)]),
        '{"kind": "bars", "title": "Sizes", "rows": [{"label": "2–3", "value": 5, "note": "12 records"},'
        ' {"label": "4–7", "value": 1}]}',
    ),
    (
        Matrix("Sources", ["a", "b"], [[1, 2], [3, 4]]),
        '{"kind": "matrix", "title": "Sources", "names": ["a", "b"], "values": [[1, 2], [3, 4]]}',
    ),
    (
        Scatter("Accuracy", "true", "estimated", [[0.5, 0.25]]),
        '{"kind": "scatter", "title": "Accuracy", "x": "true", "y": "estimated", "points": [[0.5, 0.25]]}',
    ),
    (
        Table("Counts", ["name", "n"], [["a", "1"]]),
        '{"kind": "table", "title": "Counts", "head": ["name", "n"], "rows": [["a", "1"]]}',
    ),
    (
        Pairs("Texts", [PairOfTexts("cluster of 2", "天地", "天地玄黄")]),
        '{"kind": "pairs", "title": "Texts", "items": [{"header": "cluster of 2", "before": "天地",'
        ' "after": "天地玄黄"}]}',
    ),
    (
        Maps("Map", ["news"], [(0.0, 1.0, 0, True, "天地")], ["all", "selected"]),
        '{"kind": "maps", "title": "Map", "names": ["news"], "points": [[0.0, 1.0, 0, true, "天地"]],'
        ' "panels": ["all", "selected"]}',
    ),
    (
        Histograms("Scores", [{"name": "score"}]),
        '{"kind": "histograms", "title": "Scores", "items_": [{"name": "score"}]}',
    ),
]


@pytest.mark.parametrize(("block", "written"), BLOCKS)
def test_a_block_is_written_with_these_keys_in_this_order(block: Block, written: str) -> None:
    """`sections.json` of a run begun before must not change by a byte."""
    assert json.dumps(block.to_json(), ensure_ascii=False) == written


def test_every_block_is_covered() -> None:
    assert {type(block) for block, _ in BLOCKS} == set(get_args(Block))


def test_the_template_draws_every_kind() -> None:
    template = files("raylib.report").joinpath("report.html.j2").read_text("utf-8")
    assert set(re.findall(r"b\.kind == '(\w+)'", template)) == {str(block.to_json()["kind"]) for block, _ in BLOCKS}


def test_a_section_survives_its_json() -> None:
    section = Section("Near duplicates", [block for block, _ in BLOCKS])
    written = json.loads(json.dumps(section.to_json(), ensure_ascii=False))
    assert list(written) == ["title", "blocks"]
    assert json.loads(json.dumps(read_section(written).to_json())) == written
