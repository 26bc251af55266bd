"""The stages of a recipe, and the ready chains for a source that `- clean: wechat` stands for."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from raylib.errors import RecipeError, WrongTypeError, nearest
from raylib.recipe.by_genre import NAME
from raylib.recipe.stages import StageSpec, spec_of, split_stage
from raylib.user_yaml import Where, read_document

__all__ = ["RECIPES", "expanded", "source_chain", "source_names", "stages_of"]

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def stages_of(items: object, at: Where) -> tuple[StageSpec, ...]:
    """The stages of a recipe's `stages` list, chains expanded.

    Args:
        items: The list.
        at: Names the places that errors mention.

    Returns:
        The stages, in order.

    Raises:
        RecipeError: An item is not a stage, or a stage is wrong; names line, key and the nearest valid name.
    """
    if not isinstance(items, list):
        raise RecipeError(f"{at('stages')}: 'stages' should be a list, is {type(items).__name__}")
    specs: list[StageSpec] = []
    for i, item in enumerate(items):
        split = split_stage(item)
        if split is None:
            raise RecipeError(f"{at('stages', i)}: a stage is `- name` or `- name: {{parameter: value}}`, got {item!r}")
        name, parameters = split
        if name == "clean":  # a chain of another recipe
            try:
                specs += _chain(parameters)
            except RecipeError as error:
                raise RecipeError(f"{at('stages', i)}: {error}") from None
        else:
            specs.append(spec_of(name, parameters, at, i))
    return tuple(specs)


def expanded(item: object) -> list[object]:
    """A `clean: wechat` item as the stages of its chain, so that each can be overridden; others as they are."""
    split = split_stage(item)
    if split is None or split[0] != "clean":
        return [item]
    return [{spec.name: dict(spec.parameters)} for spec in _chain(split[1])]


def _chain(parameters: object) -> list[StageSpec]:
    """The stages of `clean: web`; `clean: {source: web, length: {min: 100}}` changes a stage of the chain.

    `clean: {source: web, style: reference}` is the chain of the reference, for those who compare with what they had.

    Returns:
        The stages, in order.

    Raises:
        RecipeError: There is no such chain, stage or style.
    """
    changes: dict[str, object] = dict(parameters) if isinstance(parameters, dict) else {"source": parameters}
    source = changes.pop("source", None)
    if not isinstance(source, str):
        raise RecipeError(f"write `- clean: wechat` with one of {', '.join(source_names())}")
    if source == AUTO:
        return _auto(changes)
    style = changes.pop("style", None)
    if style not in (None, "reference"):
        raise RecipeError(f"clean: style is 'reference' or left out, is {style!r}")
    chain = source_chain(f"reference/{source}" if style else source)
    for name, change in changes.items():
        names = [spec.name for spec in chain]
        if name not in names:
            raise RecipeError(f"clean: the chain {source!r} has no stage {name!r}{nearest(name, names)}")
        if not isinstance(change, dict):
            raise RecipeError(f"clean: {name}: write parameters such as {{min: 100}}, got {change!r}")
        chain = [StageSpec(s.name, {**s.parameters, **change}) if s.name == name else s for s in chain]
    for spec in chain:
        spec.make()
    return chain


AUTO = "auto"
"""The chain that asks the genre of each record: `clean: auto`."""

GENRES = (
    *("books", "classics", "dialogue", "encyclopedia", "english", "exam", "finance"),
    *("forum", "law", "medical", "news", "tech", "web"),
)
"""Genres that have a chain of their own; the stage `genre` tells them apart."""

# Before the genre is known: the text has to be a text.
_FIRST = (StageSpec("extract_main"), StageSpec("strip_markup"), StageSpec("genre"))


def _auto(others: dict[str, object]) -> list[StageSpec]:
    """The stages of `clean: auto`; `clean: {source: auto, forum: reviews}` takes another chain for a genre.

    Returns:
        The stages, in order.

    Raises:
        RecipeError: There is no such genre, or no such chain.
    """
    chains: dict[str, list[dict[str, object]]] = {}
    for genre, name in {**{genre: genre for genre in GENRES}, **others}.items():
        if genre not in GENRES:
            raise RecipeError(f"clean: auto knows no genre {genre!r}{nearest(genre, GENRES)}")
        chains[genre] = [{spec.name: dict(spec.parameters)} for spec in source_chain(cast("str", name))]
    return [*_FIRST, StageSpec(NAME, {"chains": chains})]


def source_names() -> list[str]:
    """List the ready chains.

    Returns:
        Names of their sources, sorted: news, wechat, wiki, ...; `auto` is not among them, because it is no file.
    """
    return sorted(p.stem for p in (RECIPES / "sources").glob("*.yaml"))


def source_chain(name: str) -> list[StageSpec]:
    """The stages of a ready chain, or of a user's file.

    Args:
        name: Name of a source (`recipes/sources/NAME.yaml`), or path of a YAML file with a `stages` list.

    Returns:
        The stages, in order.

    Raises:
        RecipeError: There is no such chain, or a stage of it is wrong.
        WrongTypeError: The name is no text.
    """
    if not isinstance(name, (str, Path)):
        raise WrongTypeError(f"a chain is a name such as 'web' or the path of a YAML file, not {type(name).__name__}")
    path = RECIPES / "sources" / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"unknown source {name!r}{nearest(name, source_names())}")
    document = read_document(path, RecipeError)
    stages = document.data.get("stages") if isinstance(document.data, dict) else None
    if stages is None:
        raise RecipeError(f"{path}: a chain is a mapping with a list: {{stages: [...]}}")
    return list(stages_of(stages, document.where))
