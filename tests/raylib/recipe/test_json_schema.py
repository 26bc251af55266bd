"""The JSON schema of recipes accepts what the parser accepts, and refuses what it refuses."""

from __future__ import annotations

import json
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from raylib.cli import app
from raylib.errors import RaylibError, RecipeError
from raylib.recipe import Recipe
from raylib.recipe.json_schema import json_schema
from raylib.stage import stage_info, stage_names

ROOT = Path(__file__).parents[3]
RECIPES = sorted([*ROOT.glob("recipes/*.yaml"), *ROOT.glob("benchmarks/recipes/*.yaml"), ROOT / "examples/demo.yaml"])
CHAINS = sorted(ROOT.glob("recipes/sources/*.yaml"))
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
MINIMAL: dict[str, Any] = {"input": {"path": "in.jsonl"}, "output": {"path": "out"}}


def problems(recipe: object) -> list[str]:
    """What the schema finds wrong."""
    return [error.message for error in VALIDATOR.iter_errors(recipe)]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_our_recipes_are_valid(path: Path) -> None:
    assert problems(yaml.safe_load(path.read_text("utf-8"))) == []


@pytest.mark.parametrize("path", CHAINS, ids=lambda p: p.name)
def test_our_chains_are_valid(path: Path) -> None:
    assert problems({**MINIMAL, "stages": yaml.safe_load(path.read_text("utf-8"))["stages"]}) == []


NEED_PARAMETERS = [n for n in stage_names() if MISSING in stage_info(n).parameters.values()]


@pytest.mark.parametrize("name", NEED_PARAMETERS)
def test_stages_that_need_a_parameter_are_not_accepted_as_bare_names(name: str) -> None:
    recipe = {**MINIMAL, "stages": [name]}
    assert not VALIDATOR.is_valid(recipe)
    with pytest.raises(RecipeError):
        Recipe.from_dict(recipe)


@pytest.mark.parametrize("name", sorted(set(stage_names()) - set(NEED_PARAMETERS)))
def test_stages_with_defaults_are_accepted_as_bare_names(name: str) -> None:
    assert problems({**MINIMAL, "stages": [name]}) == []


@pytest.mark.parametrize("name", sorted(set(stage_names()) - set(NEED_PARAMETERS) - {"select"}))
def test_a_resolved_recipe_is_valid(name: str) -> None:
    """Every default, written out. `select` needs a size in one of two ways, which no schema of ours says."""
    described = Recipe.from_dict({**MINIMAL, "stages": [name]}).describe()
    assert problems(yaml.safe_load(yaml.safe_dump(described))) == []


@pytest.mark.parametrize(
    "stage",
    [
        "exact_dedup",
        {"exact_dedup": None},
        {"length": {"min": 10}},
        {"keep_where": "length(text) > 5"},
        {"keep_where": {"where": "length(text) > 5"}},
        {"drop_columns": ["embedding"]},
        {"clean": "wechat"},
        {"clean": {"source": "web", "length": {"min": 99}}},
    ],
)
def test_every_form_of_a_stage_is_accepted(stage: object) -> None:
    recipe = {**MINIMAL, "stages": [stage]}
    assert Recipe.from_dict(recipe).stages
    assert problems(recipe) == []


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"input": {"path": "in.jsonl"}},
        {**MINIMAL, "inptu": {}},
        {**MINIMAL, "input": {"path": 5}},
        {**MINIMAL, "input": {"path": "x", "kind": "poem"}},
        {**MINIMAL, "output": {"paht": "out"}},
        {**MINIMAL, "engine": {"mode": "spark"}},
        {**MINIMAL, "engine": {"retries": 0}},
        {**MINIMAL, "stages": "length"},
        {**MINIMAL, "stages": ["lenght"]},
        {**MINIMAL, "stages": ["clean"]},
        {**MINIMAL, "stages": [{"length": {"mni": 5}}]},
        {**MINIMAL, "stages": [{"length": {"min": "many"}}]},
        {**MINIMAL, "stages": [{"length": {}, "exact_dedup": {}}]},
        {**MINIMAL, "stages": [{"keep_where": {}}]},
        {**MINIMAL, "stages": [{"minhash_dedup": {"unit": "line"}}]},
        {**MINIMAL, "stages": [{"clean": {"length": {"min": 5}}}]},
        {**MINIMAL, "stages": [{"clean": {"source": "web", "length": 5}}]},
    ],
)
def test_broken_recipes_are_refused_by_both(recipe: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        Recipe.from_dict(recipe)
    assert not VALIDATOR.is_valid(recipe)


def test_options_are_described_by_sentences() -> None:
    for section in ("input", "output", "engine"):
        for name, option in SCHEMA["properties"][section]["properties"].items():  # type: ignore[index]
            assert option["description"][0].isupper(), f"{section}.{name}"
            assert option["description"].endswith("."), f"{section}.{name}"


def test_the_command_prints_it() -> None:
    done = CliRunner().invoke(app, ["schema", "recipe"])
    assert json.loads(done.output) == SCHEMA


def test_the_schema_of_training_configurations() -> None:
    done = CliRunner().invoke(app, ["schema", "training"])
    assert {"objective", "output", "model", "data"} <= json.loads(done.output)["properties"].keys()


def test_an_unknown_kind_names_the_nearest() -> None:
    done = CliRunner().invoke(app, ["schema", "recip"])
    assert isinstance(done.exception, RaylibError)
    assert str(done.exception).endswith("did you mean 'recipe'?")
