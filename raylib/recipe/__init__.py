"""Recipes: YAML to validated options and stages."""

from raylib.recipe.options import EngineOptions, InputOptions, OutputOptions
from raylib.recipe.recipe import Recipe
from raylib.recipe.stages import StageSpec

__all__ = ["EngineOptions", "InputOptions", "OutputOptions", "Recipe", "StageSpec"]
