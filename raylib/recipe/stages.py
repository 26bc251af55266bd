"""Stages of a recipe: names and parameters, validated and expanded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pydantic
import yaml

from raylib.errors import RecipeError, nearest
from raylib.recipe.lines import Where, record_lines
from raylib.stage import stage_info

__all__ = [
    "StageSpec",
    "expanded",
    "explain",
    "source_chain",
    "source_names",
    "split_stage",
    "stage_labels",
    "stages_of",
]


RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@dataclass(frozen=True)
class StageSpec:
    """A stage of a recipe: its registry name and parameters, or a ready object from the Python API."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    object: Any = None

    def make(self) -> Any:
        """The stage itself. Raises RecipeError for unknown names, parameters and wrong values."""
        if self.object is not None:
            return self.object
        try:
            info = stage_info(self.name)
        except KeyError as error:
            raise RecipeError(error.args[0]) from None
        known = info.parameters
        for key in self.parameters:
            if key not in known:
                raise RecipeError(f"stage {self.name!r} has no parameter {key!r}{nearest(key, known)}")
        try:
            return pydantic.TypeAdapter(info.make).validate_python(dict(self.parameters))
        except pydantic.ValidationError as error:
            raise RecipeError(f"stage {self.name!r}: {explain(error)}") from None

    def describe(self) -> dict[str, Any]:
        """As it stands in a resolved recipe, defaults included."""
        if self.object is not None:
            return {self.name: {"python": repr(self.object)}}
        stage = self.make()
        return {self.name: {f.name: _plain(getattr(stage, f.name)) for f in fields(stage) if f.init}}


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list, set, frozenset)):
        return [_plain(v) for v in value]
    return value


def explain(error: pydantic.ValidationError) -> str:
    problems = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"])
        problems.append(f"{where}: {item['msg']} (got {item.get('input')!r})")
    return "; ".join(problems)


def expanded(item: Any) -> list[Any]:
    """A `clean: wechat` item as the stages of its chain, so that each can be overridden; others as they are."""
    split = split_stage(item)
    if split is None or split[0] != "clean":
        return [item]
    return [{spec.name: dict(spec.parameters)} for spec in _chain(split[1])]


def split_stage(item: Any) -> tuple[str, Any] | None:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, dict) and len(item) == 1:
        return next(iter(item.items()))
    return None


def stages_of(items: Any, at: Where) -> tuple[StageSpec, ...]:
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
            continue
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, dict):
            parameters = _short_form(name, parameters)
        spec = StageSpec(str(name), parameters)
        try:
            spec.make()
        except RecipeError as error:
            bad = next((k for k in parameters if repr(k) in str(error) or f" {k}:" in str(error)), None)
            place = at("stages", i, name, bad) if bad else at("stages", i)
            raise RecipeError(f"{place}: {error}") from None
        specs.append(spec)
    return tuple(specs)


def _chain(parameters: Any) -> list[StageSpec]:
    """The stages of `clean: web`, or of `clean: {source: web, length: {min: 100}}`, which changes stages of the chain."""
    changes = dict(parameters) if isinstance(parameters, dict) else {"source": parameters}
    source = changes.pop("source", None)
    if not isinstance(source, str):
        raise RecipeError(f"write `- clean: wechat` with one of {', '.join(source_names())}")
    chain = source_chain(source)
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


def _short_form(name: str, value: Any) -> dict[str, Any]:
    """`- keep_where: "..."`: a single value goes to the stage's first parameter."""
    try:
        first = next(iter(stage_info(name).parameters), None)
    except KeyError as error:
        raise RecipeError(error.args[0]) from None
    if first is None:
        raise RecipeError(f"stage {name!r} takes no parameters, got {value!r}")
    return {first: value}


def source_names() -> list[str]:
    """Names of the ready chains by source: wechat, wiki, news, ..."""
    return sorted(p.stem for p in (RECIPES / "sources").glob("*.yaml"))


def source_chain(name: str) -> list[StageSpec]:
    """The stages of a ready chain (`recipes/sources/NAME.yaml`), or of a user's YAML file with a `stages` list."""
    path = RECIPES / "sources" / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"unknown source {name!r}{nearest(name, source_names())}")
    data = yaml.safe_load(path.read_text("utf-8"))
    lines: dict[tuple[Any, ...], int] = {}
    node = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    if node is not None:
        record_lines(node, (), lines)
    return list(stages_of((data or {}).get("stages"), Where(str(path), lines)))


def stage_labels(specs: Iterable[StageSpec]) -> list[str]:
    """Stage names made unique: a second `length` is counted as `length#2`."""
    seen: dict[str, int] = {}
    labels = []
    for spec in specs:
        seen[spec.name] = seen.get(spec.name, 0) + 1
        labels.append(spec.name if seen[spec.name] == 1 else f"{spec.name}#{seen[spec.name]}")
    return labels
