"""The JSON schema of recipes accepts what the parser accepts, and refuses what it refuses."""

from __future__ import annotations

import json
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


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_our_recipes_are_valid(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize("path", CHAINS, ids=lambda p: p.name)
def test_our_chains_are_valid(path: Path) -> None:
    VALIDATOR.validate({**MINIMAL, "stages": yaml.safe_load(path.read_text("utf-8"))["stages"]})


@pytest.mark.parametrize("name", stage_names())
def test_every_stage_is_accepted_with_its_defaults_or_not_at_all(name: str) -> None:
    """A stage whose parameters all have defaults may be a bare name; the parser decides which ones these are."""
    recipe = {**MINIMAL, "stages": [name]}
    try:
        Recipe.from_dict(recipe)
    except RecipeError:
        assert not VALIDATOR.is_valid(recipe) or "Field required" not in _complaint(recipe)
    else:
        assert VALIDATOR.is_valid(recipe)


def _complaint(recipe: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict(recipe)
    return str(caught.value)


@pytest.mark.parametrize("name", stage_names())
def test_a_resolved_recipe_is_valid(name: str) -> None:
    """Every default, written out."""
    info = stage_info(name)
    try:
        described = Recipe.from_dict({**MINIMAL, "stages": [name]}).describe()
    except RecipeError:
        pytest.skip(f"{info.name} needs a parameter")
    VALIDATOR.validate(yaml.safe_load(yaml.safe_dump(described)))


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
    VALIDATOR.validate(recipe)


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
