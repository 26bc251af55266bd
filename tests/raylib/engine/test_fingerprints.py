"""What a resumed run recognises finished work by."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from raylib.dataset.functions import Map
from raylib.engine.fingerprints import stage_identity
from raylib.engine.planning import make_plan
from raylib.recipe import Recipe, StageSpec
from raylib.storage.layouts import FitsLayout


def test_the_stage_of_a_layout_is_known_by_its_parameter_not_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "1", "data": ["问", "答"]}\n', "utf-8")
    output = {"path": str(tmp_path / "out"), "format": "jsonl", "layout": "data"}
    recipe = Recipe.from_dict({"input": {"path": str(tmp_path / "in.jsonl")}, "output": output, "stages": []}, "test")
    before = make_plan(recipe, None)
    monkeypatch.setattr(FitsLayout, "__module__", "raylib.elsewhere")
    assert make_plan(recipe, None).chain == before.chain
    (spec,) = before.job.segments[-1].local
    assert stage_identity(spec) == ["layout", {"layout": "data"}]


def test_objects_of_users_are_known_by_their_pickle() -> None:
    def upper(table: pa.Table) -> pa.Table:
        return table

    def lower(table: pa.Table) -> pa.Table:
        return table.slice(0, 1)

    one, same, other = (stage_identity(StageSpec("map", object=Map(f))) for f in (upper, upper, lower))
    assert one == same
    assert one != other


def test_files_that_parameters_name_count_with_their_content(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("甲\n", "utf-8")
    spec = StageSpec("lexicon", {"lexicon": str(words)})
    before = stage_identity(spec)
    words.write_text("乙\n", "utf-8")
    assert stage_identity(spec) != before


def test_a_choice_with_the_name_of_a_folder_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    judge = StageSpec("judge", {"model": "m", "rubric": "quality"})
    embed = StageSpec("embed", {"model": "encoder"})
    before = [stage_identity(spec) for spec in (judge, embed)]
    for folder in ("quality", "encoder"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "weights").write_text("1", "utf-8")
    after = [stage_identity(spec) for spec in (judge, embed)]
    assert after[0] == before[0]
    assert after[1] != before[1]
