"""Recipes: YAML to validated options and stages."""

from raylib.recipe.chains import source_chain, source_names
from raylib.recipe.options import EngineOptions, InputOptions, OutputOptions
from raylib.recipe.recipe import Recipe
from raylib.recipe.stages import StageSpec

__all__ = [
    "EngineOptions",
    "InputOptions",
    "OutputOptions",
    "Recipe",
    "StageSpec",
    "source_chain",
    "source_names",
]
