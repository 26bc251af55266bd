"""Conditions over columns and over the fields that records bring along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import raylib
from quality.selection.expressions import evaluate, value
from raylib.engine import run
from raylib.errors import RecipeError
from raylib.recipe import Recipe
from tests.texts import ARTICLE

TABLE = pa.table(
    {
        "text": ["茶叶", "coffee", "水", "酒"],
        "source": ["wiki", "forum", "wiki", "news"],
        "score": [4.5, 1.0, None, 3.0],
        "meta": [
            '{"url": "https://a.cn/1", "int_score": 4, "lang score": 0.9, "ok": true, "deep": {"kind": "a"}}',
            '{"url": "http://b.cn/2", "int_score": 2.5, "ok": false, "deep": 3}',
            None,
            '{"url": 7, "int_score": "high", "lang score": 0.1}',
        ],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("score >= 3", [1, 0, 0, 1]),
        ("not (score >= 3)", [0, 1, 0, 0]),
        ('length(text) <= 2 and source != "news"', [1, 0, 1, 0]),
        ('source in ("wiki", "news",)', [1, 0, 1, 1]),
        ('source not in ["wiki"]', [0, 1, 0, 1]),
        ("1 < score <= 3", [0, 0, 0, 1]),
        ("meta.int_score >= 3", [1, 0, 0, 0]),
        ("3 <= meta.int_score", [1, 0, 0, 0]),
        ("2 < meta.int_score < 3", [0, 1, 0, 0]),
        ("meta.int_score + 1 > 3", [1, 1, 0, 0]),
        ("-meta.int_score < 0", [1, 1, 0, 0]),
        ('meta["lang score"] > 0.5', [1, 0, 0, 0]),
        ('meta.deep.kind == "a"', [1, 0, 0, 0]),
        ('meta["deep"]["kind"] == "a"', [1, 0, 0, 0]),
        ("meta.deep == 3", [0, 1, 0, 0]),
        ("meta.ok", [1, 0, 0, 0]),
        ("not meta.ok", [0, 1, 0, 0]),
        ("meta.ok and score > 1", [1, 0, 0, 0]),
        ("meta.ok == (score > 2)", [1, 1, 0, 0]),
        ('matches(meta.url, "^https")', [1, 0, 0, 0]),
        ('contains(lower(meta.url), "b.cn")', [0, 1, 0, 0]),
        ("meta.int_score in (4, 2.5)", [1, 1, 0, 0]),
        ('meta.url in ("https://a.cn/1", "x")', [1, 0, 0, 0]),
        ("is_null(meta.ok)", [0, 0, 1, 1]),
        ("meta.int_score == meta.int_score", [0, 0, 0, 1]),  # of mixed types: compared as strings
        ("meta.nothing > 0", [0, 0, 0, 0]),
        ("is_null(meta.nothing)", [1, 1, 1, 1]),
    ],
)
def test_conditions(condition: str, expected: list[int]) -> None:
    assert evaluate(condition, TABLE).to_pylist() == [bool(e) for e in expected]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("scor > 1", "no column 'scor'; did you mean 'score'"),
        ("int_score > 1", "no column 'int_score'; it is in meta: write meta.int_score"),
        ("meta[0] == 1", "Subscript is not allowed"),
        ("source[0] == 1", "Subscript is not allowed"),
        ('source["x"] == 1', "Subscript is not allowed"),
        ("score", "is not a condition"),
        ("lenght(text) > 1", "unknown function 'lenght'; did you mean 'length'"),
    ],
)
def test_what_is_wrong_is_named(condition: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        evaluate(condition, TABLE)


def test_a_field_as_a_value() -> None:
    double, single = value("meta.int_score * 2", TABLE), value("meta.int_score", TABLE)
    assert isinstance(double, pa.Array | pa.ChunkedArray)
    assert double.to_pylist() == [8.0, 5.0, None, None]
    assert isinstance(single, pa.Array | pa.ChunkedArray)
    assert single.to_pylist() == [4.0, 2.5, None, None]
    large = pa.table({"meta": [f'{{"n": {n}}}' for n in (2**53 + 1, 2**63 + 5)]})
    assert evaluate(f"meta.n == {2**53 + 1}", large.slice(0, 1)).to_pylist() == [True]
    assert evaluate("meta.n > 0", large).to_pylist() == [True, True]


def test_fields_of_the_input_reach_a_condition(write_jsonl: Callable[..., Path]) -> None:
    source = write_jsonl(
        [{"id": str(i), "text": ARTICLE + str(i), "int_score": i, "meta": {"host": f"h{i % 2}.cn"}} for i in range(6)]
    )
    kept = raylib.read(str(source), kind="document").keep_where('meta.int_score >= 2 and meta.host == "h0.cn"')
    assert [r["id"] for r in kept.to_arrow().to_pylist()] == ["2", "4"]


@pytest.mark.parametrize("mode", ["inline", pytest.param("ray", marks=pytest.mark.cluster)])
@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"keep_where": "scor > 1"}, "no column 'scor'"),
        ({"keep_where": "source > 1"}, "keep_where"),
        ({"select": {"k": 2, "by": "quality"}}, "select: by: 'quality': no column 'quality'"),
        ({"split_stages": {"by": "text"}}, "split_stages: by: 'text'"),
        ({"drop_columns": {"columns": ["embeding"]}}, "drop_columns: no column 'embeding'"),
        ({"exact_dedup": {"priority": ["score"]}}, "priority 'score': no column 'score'"),
    ],
)
def test_a_stage_that_can_work_on_no_record_stops_the_run_at_once(
    mode: str,
    stage: dict[str, Any],
    message: str,
    tmp_path: Path,
    write_jsonl: Callable[..., Path],
    request: pytest.FixtureRequest,
) -> None:
    if mode == "ray":
        request.getfixturevalue("ray_cluster")
    source = write_jsonl([{"id": str(i), "text": ARTICLE + str(i)} for i in range(60)])
    recipe = Recipe.from_dict(
        {
            "input": {"path": str(source), "kind": "document"},
            "output": {"path": str(tmp_path / "out")},
            "engine": {"mode": mode, "batch_mb": 0.01},
            "stages": [stage],
        }
    )
    with pytest.raises(RecipeError, match=message):
        run(recipe)


def test_an_expression_that_cannot_be_read_is_found_before_any_work() -> None:
    with pytest.raises(RecipeError, match="cannot read 'length\\(text'"):
        Recipe.from_dict({"input": {"path": "x"}, "output": {"path": "y"}, "stages": [{"keep_where": "length(text"}]})
