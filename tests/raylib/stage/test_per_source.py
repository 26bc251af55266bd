"""A stage with other parameters for the records of some sources."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raylib.engine import run
from raylib.engine.fingerprints import stage_identity
from raylib.errors import RecipeError
from raylib.recipe import Recipe, StageSpec
from raylib.recipe.stages import spec_of
from raylib.stage import PerSource
from raylib.user_yaml import Where


def records(*pairs: tuple[str, str | None]) -> pa.Table:
    return pa.table(
        {
            "id": [f"d{i}" for i in range(len(pairs))],
            "text": pa.array([text for text, _ in pairs], pa.large_string()),
            "source": pa.array([source for _, source in pairs], pa.string()),
            "meta": pa.nulls(len(pairs), pa.large_string()),
        }
    )


def made(name: str, **parameters: object) -> PerSource:
    stage = StageSpec(name, parameters).make()
    assert isinstance(stage, PerSource)
    return stage


MIXED = records(("短文", "新闻"), ("短文", "论坛"), ("长一些的文字", "新闻"), ("短文", None), ("长一些的文字", "论坛"))
SHORT = {"min": 4, "per_source": {"论坛": {"min": 1}}}


def test_records_go_to_the_parameters_of_their_source_and_keep_their_order() -> None:
    outcome = made("length", **SHORT)(MIXED)
    assert outcome.kept["id"].to_pylist() == ["d1", "d2", "d4"]
    assert outcome.rejected["id"].to_pylist() == ["d0", "d3"]
    assert outcome.rejected["detail"].to_pylist() == ["2 < 4", "2 < 4"]
    assert outcome.kept.column_names == MIXED.column_names


def test_columns_that_a_stage_adds_stay() -> None:
    outcome = made("text_quality", per_source={"论坛": {"min_quality": 0.5}})(MIXED)
    assert {"quality", "spam"} < set(outcome.kept.column_names)


@pytest.mark.parametrize("table", [MIXED.slice(0, 0), MIXED.slice(1, 1), MIXED.slice(0, 1)])
def test_tables_of_one_source_or_none(table: pa.Table) -> None:
    outcome = made("length", **SHORT)(table)
    assert len(outcome.kept) + len(outcome.rejected) == len(table)
    assert outcome.kept.column_names == table.column_names


def test_the_resolved_recipe_is_a_recipe_again() -> None:
    data = {"input": {"path": "a"}, "output": {"path": "b"}, "stages": [{"length": SHORT}]}
    recipe = Recipe.from_dict(data)
    again = Recipe.from_text(recipe.to_yaml())
    assert again.describe() == recipe.describe()
    assert again.stages[0].per_source == {"论坛": {"min": 1}}


def test_a_value_of_a_source_belongs_to_the_identity_of_a_run(tmp_path: Path) -> None:
    other = {**SHORT, "per_source": {"论坛": {"min": 2}}}
    assert stage_identity(StageSpec("length", SHORT)) != stage_identity(StageSpec("length", other))
    words = tmp_path / "words.txt"
    identities = []
    for content in ("甲\n", "乙\n"):
        words.write_text(content, "utf-8")
        spec = StageSpec("lexicon", {"per_source": {"论坛": {"lexicon": str(words)}}})
        identities.append(stage_identity(spec))
    assert identities[0] != identities[1]


@pytest.mark.parametrize(
    ("name", "given", "error"),
    [
        ("length", {"per_source": {"论坛": {"mn": 2}}}, "'length' has no parameter 'mn'; did you mean 'min'"),
        ("length", {"per_source": {"论坛": {"min": "x"}}}, "stage 'length': min: "),
        (
            "length",
            {"per_source": ["论坛"]},
            r"per_source should be like \{news: \{parameter: value\}\}, is",
        ),
        ("length", {"per_source": {"论坛": 3}}, "per_source should be like"),
        ("exact_dedup", {"per_source": {"论坛": {}}}, "'exact_dedup' looks at all records"),
    ],
)
def test_mistakes_are_named(name: str, given: dict[str, object], error: str) -> None:
    with pytest.raises(RecipeError, match=error):
        spec_of(name, given, Where("recipe.yaml"), 0)


def test_a_run_uses_the_values_of_each_source(tmp_path: Path) -> None:
    rows = [{"id": f"{s}{i}", "source": s, "text": "字" * i} for s in ("新闻", "论坛") for i in range(1, 9)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    data = {
        "input": {"path": str(tmp_path / "in.jsonl")},
        "output": {"path": str(tmp_path / "out")},
        "engine": {"mode": "inline"},
        "stages": [{"length": SHORT}],
    }
    run(Recipe.from_dict(data))
    kept = pq.read_table(tmp_path / "out" / "kept")
    assert kept["id"].to_pylist() == [*(f"新闻{i}" for i in range(4, 9)), *(f"论坛{i}" for i in range(1, 9))]
