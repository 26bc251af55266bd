"""Recipes: errors that name file, line, key and the nearest valid name; overrides; ready chains."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from raylib.errors import RecipeError
from raylib.recipe import Recipe
from raylib.recipe.chains import source_chain, source_names

GOOD = """\
name: good
input: {path: in.jsonl}
output:
  path: out
engine: {mode: inline}
stages:
  - clean: {source: web, length: {min: 99}}
  - length: {min: 10}
  - keep_where: 'length(text) > 5'
"""


def load(text: str, **overrides: object) -> Recipe:
    return Recipe.from_text(text, "my.yaml", {k.replace("__", "."): v for k, v in overrides.items()})


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("input:", "inptu:", ["my.yaml:2", "'inptu'", "did you mean 'input'"]),
        ("  path: out", "  paht: out", ["my.yaml:4", "output.paht", "did you mean 'path'"]),
        ("mode: inline", "mode: spark", ["my.yaml:5", "engine.mode", "'ray' or 'inline'"]),
        ("- length: {min", "- lenght: {min", ["my.yaml:8", "'lenght'", "did you mean 'length'"]),
        ("- length: {min: 10", "- length: {mni: 10", ["my.yaml:8", "'mni'", "did you mean 'min'"]),
        ("- length: {min: 10", "- length: {min: many", ["my.yaml:8", "min", "many"]),
        ("source: web", "source: wbe", ["my.yaml:7", "'wbe'", "did you mean 'web'"]),
        ("length: {min: 99", "lentgh: {min: 99", ["my.yaml:7", "'lentgh'", "did you mean 'length'"]),
        ("stages:", "stages: 5\nx:", ["unknown key 'x'"]),
        ("path: in.jsonl", "path: {a: 5}", ["my.yaml:2", "input.path", "should be a text"]),
        ("output:\n  path: out\n", "", ["no 'output'"]),
        ("name: good", "name: [", ["not YAML"]),
        ("name: good", "name: !!python/object/apply:os.system [ls]", ["not YAML"]),
    ],
)
def test_errors_say_where_and_what_would_be_right(old: str, new: str, says: list[str]) -> None:
    assert old in GOOD
    with pytest.raises(RecipeError) as caught:
        load(GOOD.replace(old, new))
    for part in says:
        assert part in str(caught.value)


def test_overrides() -> None:
    recipe = load(GOOD, engine__actors=3, stages__length__min=7, input__path=["a", "b"])
    assert recipe.engine.actors == 3
    assert recipe.input.path == ["a", "b"]
    assert {s.parameters["min"] for s in recipe.stages if s.name == "length"} == {7}
    with pytest.raises(RecipeError, match=r"--set stages\.lenght\.min"):
        load(GOOD, stages__lenght__min=7)
    with pytest.raises(RecipeError, match="is not a section"):
        load(GOOD, name__x=7)


def test_chain_with_changes() -> None:
    recipe = load(GOOD)
    plain = source_chain("web")
    assert [s.name for s in recipe.stages[: len(plain)]] == [s.name for s in plain]
    assert [s.parameters["min"] for s in recipe.stages if s.name == "length"] == [99, 99, 99, 10]


def test_resolved_recipe_reads_back() -> None:
    recipe = load(GOOD)
    again = Recipe.from_text(recipe.to_yaml())
    assert again.describe() == recipe.describe()
    assert yaml.safe_load(recipe.to_yaml())["engine"]["retries"] == 3


@pytest.mark.parametrize("name", source_names())
def test_every_ready_chain_loads_and_is_sane(name: str) -> None:
    names = [s.name for s in source_chain(name)]
    assert names.count("length") >= 2, "once before the work and once after it"
    first_reject = names.index("chinese_ratio") if "chinese_ratio" in names else len(names)
    assert names.index("normalise_characters" if "normalise_characters" in names else names[0]) < first_reject
    if "lexicon" in names:
        assert names.index("lexicon") > max(names.index("strip_markup"), names.index("length")), (
            "on text, not on markup"
        )


def test_all_committed_recipes_load() -> None:
    root = Path(__file__).parents[3]
    found = [*root.glob("recipes/*.yaml"), *root.glob("examples/*.yaml"), *root.glob("benchmarks/recipes/*.yaml")]
    assert len(found) >= 4
    for path in found:
        assert Recipe.from_file(path).stages
