"""Overrides of recipe keys: `--set input.path=...`."""

from __future__ import annotations

from typing import Any

from raylib.errors import RecipeError, nearest
from raylib.recipe.stages import expanded, split_stage

__all__ = ["override"]


def override(data: dict[str, Any], key: str, value: Any) -> None:
    head, *rest = key.split(".")
    if not rest:
        data[head] = value
        return
    if head == "stages":
        _override_stage(data, rest, value, key)
        return
    target = data.setdefault(head, {})
    for part in rest[:-1]:
        target = target.setdefault(part, {})
    if not isinstance(target, dict):
        raise RecipeError(f"--set {key}: {head!r} is no section of the recipe")
    target[rest[-1]] = value


def _override_stage(data: dict[str, Any], rest: list[str], value: Any, key: str) -> None:
    """`stages.length.min=100` sets a parameter of every stage of that name; `stages.2.min=100` of the third."""
    data["stages"] = [item for given in data.get("stages") or [] for item in expanded(given)]
    stages = [split_stage(s) for s in data["stages"]]
    hits = [i for i, s in enumerate(stages) if s and (s[0] == rest[0] or str(i) == rest[0])]
    if len(rest) != 2 or not hits:
        names = [s[0] for s in stages if s]
        raise RecipeError(
            f"--set {key}: no stage {rest[0]!r}{nearest(rest[0], names)}; write stages.NAME.PARAMETER=VALUE"
        )
    new = list(data["stages"])
    for i in hits:
        name, parameters = stages[i]  # type: ignore[misc]
        new[i] = {name: {**(parameters or {}), rest[1]: value}}
    data["stages"] = new
