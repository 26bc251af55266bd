"""Overrides of recipe keys: `--set input.path=...`."""

from __future__ import annotations

from raylib.errors import RecipeError, nearest
from raylib.recipe.chains import expanded
from raylib.recipe.stages import short_form, split_stage

__all__ = ["override"]


def override(data: dict[str, object], key: str, value: object) -> None:
    """Set a key of a recipe.

    Args:
        data: The recipe as YAML gives it; is changed.
        key: Dotted key, such as `engine.actors`. `stages.length.min` sets a parameter of every stage of that name,
            `stages.2.min` one of the third stage.
        value: New value.

    Raises:
        RecipeError: There is no such section or stage.
    """
    head, *rest = key.split(".")
    if not rest:
        data[head] = value
        return
    if head == "stages":
        _override_stage(data, rest, value, key)
        return
    target = data.setdefault(head, {})
    for part in rest[:-1]:
        if not isinstance(target, dict):
            break
        target = target.setdefault(part, {})
    if not isinstance(target, dict):
        raise RecipeError(f"--set {key}: {head!r} is not a section of the recipe")
    target[rest[-1]] = value


def _override_stage(data: dict[str, object], rest: list[str], value: object, key: str) -> None:
    """Set a parameter of the stages that `rest[0]` names, by name or by position."""
    given = data.get("stages") or []
    items = [stage for item in given for stage in expanded(item)] if isinstance(given, list) else []
    stages = [split_stage(item) for item in items]
    hits = [i for i, stage in enumerate(stages) if stage and (stage[0] == rest[0] or str(i) == rest[0])]
    if len(rest) != 2 or not hits:
        names = [stage[0] for stage in stages if stage]
        raise RecipeError(
            f"--set {key}: no stage {rest[0]!r}{nearest(rest[0], names)}; write stages.NAME.PARAMETER=VALUE"
        )
    for i in hits:
        name, parameters = stages[i]  # type: ignore[misc]  # hits have a name
        items[i] = {name: {**_mapping(name, parameters), rest[1]: value}}
    data["stages"] = items


def _mapping(name: str, parameters: object) -> dict[str, object]:
    """Parameters as a mapping, whichever form the recipe gives them in."""
    if isinstance(parameters, dict):
        return parameters
    return short_form(name, parameters) if parameters is not None else {}
