"""Stages as methods of a dataset, with the signature and the documentation that a notebook shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING
from typing import TypeVar

from raylib.errors import RecipeError
from raylib.stage import StageInfo

__all__ = ["stage_method"]

Made = TypeVar("Made")


def stage_method(info: StageInfo, add: Callable[..., Made]) -> Callable[..., Made]:
    """A method that adds a stage.

    Args:
        info: The stage.
        add: Takes the name of a stage and its parameters by name, and returns the new plan.

    Returns:
        A function with the stage's parameters and summary. It raises RecipeError if a parameter is unknown or has no
        name, or a value is wrong.
    """

    def step(*unnamed: object, **parameters: object) -> Made:
        if unnamed:
            example = f"{info.name}({next(iter(info.parameters), 'parameter')}={unnamed[0]!r})"
            raise RecipeError(f"{info.name}: parameters are given by name, as in {example}")
        return add(info.name, **parameters)

    step.__name__ = step.__qualname__ = info.name
    step.__doc__ = info.summary
    step.__dict__["__signature__"] = inspect.Signature(
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=inspect.Parameter.empty if default is MISSING else default
            )
            for name, default in info.parameters.items()
        ]
    )
    return step
