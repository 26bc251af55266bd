"""Stages of a recipe: names and parameters, validated and expanded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

import pydantic

from raylib.errors import RecipeError, UnknownNameError, nearest
from raylib.paths import located, path_fields, paths_in, texts_in, with_located_paths
from raylib.stage import LocalStage, PerSource, StageInfo, stage_info
from raylib.user_yaml import Where
from raylib.validation import explain, with_words

__all__ = [
    "PER_SOURCE",
    "Parameters",
    "StageSpec",
    "made_stage",
    "short_form",
    "spec_of",
    "split_stage",
    "stage_labels",
]

PER_SOURCE = "per_source"
"""Key among the parameters of a local stage: other parameters by source."""

Parameters: TypeAlias = Mapping[str, object]
Ready: TypeAlias = object  # anything that `raylib.stage.adapted` accepts


class WrongParameter(RecipeError):
    """A stage's parameter is wrong; `key` is its name, as far as that is known."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class StageSpec:
    """A stage of a recipe: its registry name and parameters, or a ready object from the Python API.

    Attributes:
        name: Name in the registry; of a ready object, the name that reports show.
        parameters: Values by parameter name; parameters that are not given have their defaults. `per_source` holds
            other values for the records of some sources: a mapping of parameters by source.
        object: A ready stage, used as it is: anything that `raylib.stage.adapted` accepts.
    """

    name: str
    parameters: Parameters = field(default_factory=dict)
    object: Ready | None = None

    def make(self) -> Ready:
        """Make the stage; `raylib.stage.adapted` gives it every hook of the contract.

        Returns:
            The ready object, or a new one of the registered class.

        Raises:
            WrongParameter: A parameter is unknown, or its value is wrong. This and an unknown name are RecipeErrors.
        """
        if self.object is not None:
            return self.object
        stage = made_stage(self.name, self.common)
        others = self.per_source
        if not others:
            return stage
        made = {source: made_stage(self.name, {**self.common, **values}) for source, values in others.items()}
        stages = {source: one for source, one in made.items() if isinstance(one, LocalStage)}
        if not isinstance(stage, LocalStage) or len(stages) < len(made):
            message = f"stage {self.name!r} looks at all records: it has the same parameters for every source"
            raise WrongParameter(message, PER_SOURCE)
        return PerSource(stage, stages)

    @property
    def common(self) -> Parameters:
        """The parameters for records of all sources but those that `per_source` names."""
        return {key: value for key, value in self.parameters.items() if key != PER_SOURCE}

    @property
    def per_source(self) -> Mapping[str, Parameters]:
        """Parameters that differ for some sources, by source.

        Returns:
            The parameters; empty if all sources have the same.

        Raises:
            WrongParameter: They are no mapping of parameters by source.
        """
        given = self.parameters.get(PER_SOURCE) or {}
        if not isinstance(given, Mapping) or not all(isinstance(values, Mapping) for values in given.values()):
            message = f"stage {self.name!r}: {PER_SOURCE} should be like {{news: {{parameter: value}}}}, is {given!r}"
            raise WrongParameter(message, PER_SOURCE)
        return {str(source): dict(values) for source, values in given.items()}

    def located(self) -> StageSpec:
        """The same stage for a worker, which runs in another folder: relative paths of parameters made absolute."""
        if self.object is not None:
            return replace(self, object=with_located_paths(self.object))
        names = path_fields(_known_stage(self.name).make)
        at = {k: located(v) if k in names else v for k, v in self.common.items()}
        others = {
            source: {k: located(v) if k in names else v for k, v in values.items()}
            for source, values in self.per_source.items()
        }
        return replace(self, parameters={**at, **({PER_SOURCE: others} if others else {})})

    def paths(self) -> Iterator[tuple[str, str]]:
        """The paths that the stage reads.

        Yields:
            Name of the parameter, and a path or the name of something built in.
        """
        if self.object is not None:
            yield from paths_in(self.object)
            return
        read = path_fields(_known_stage(self.name).make, made=False)
        for values in (self.common, *self.per_source.values()):
            yield from ((key, path) for key, value in values.items() if key in read for path in texts_in(value))

    def describe(self) -> dict[str, dict[str, Ready]]:
        """The stage as a resolved recipe shows it, defaults included."""
        if self.object is not None:
            return {self.name: {"python": repr(self.object)}}
        stage = made_stage(self.name, self.common)
        values: dict[str, Ready] = {f.name: getattr(stage, f.name) for f in fields(stage) if f.init}  # type: ignore[arg-type]
        others = {source: {k: _plain(v) for k, v in changed.items()} for source, changed in self.per_source.items()}
        plain = {name: _plain(value) for name, value in values.items()}
        return {self.name: {**plain, **({PER_SOURCE: others} if others else {})}}


def made_stage(name: str, parameters: Parameters) -> Ready:
    """A new stage of the registered class, with checked parameters.

    Args:
        name: Name in the registry.
        parameters: Values by parameter name.

    Returns:
        The stage.

    Raises:
        WrongParameter: A parameter is unknown, or its value is wrong. This and an unknown name are RecipeErrors.
    """
    info = _known_stage(name)
    known = info.parameters
    for key in parameters:
        if key not in known:
            message = f"stage {name!r} has no parameter {key!r}{nearest(key, known)}"
            raise WrongParameter(message, key)
    try:
        stage: Ready = pydantic.TypeAdapter(info.make).validate_python(dict(parameters))
    except pydantic.ValidationError as error:
        place = error.errors()[0]["loc"]
        raise WrongParameter(f"stage {name!r}: {explain(error)}", str(place[0]) if place else "") from None
    return stage


def _known_stage(name: str) -> StageInfo:
    """The registry entry of a stage; RecipeError with the nearest name if there is none."""
    try:
        return stage_info(name)
    except UnknownNameError as error:
        raise RecipeError(str(error)) from None


def _plain(value: object) -> object:
    """A value as YAML can hold it."""
    if isinstance(value, (tuple, list, set, frozenset)):
        return [_plain(v) for v in value]
    return value


def split_stage(item: object) -> tuple[str, object] | None:
    """Name and parameters of a stage as a recipe gives it; None if it is neither a name nor a mapping of one."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, dict) and len(item) == 1:
        name, parameters = next(iter(item.items()))
        return name, parameters
    return None


def spec_of(name: str, parameters: object, at: Where, position: int) -> StageSpec:
    """A checked stage; errors name its place in the recipe."""
    try:
        given = parameters if parameters is not None else {}
        named = given if isinstance(given, dict) else short_form(name, given)
        spec = StageSpec(str(name), _with_words(name, named, at, position))
        spec.make()
    except WrongParameter as error:
        key = (name, error.key) if error.key else ()
        raise RecipeError(f"{at('stages', position, *key)}: {error}") from None
    except RecipeError as error:
        raise RecipeError(f"{at('stages', position)}: {error}") from None
    return spec


def _with_words(name: str, parameters: dict[str, object], at: Where, position: int) -> dict[str, object]:
    """Parameters with words as they were written."""
    adapter: pydantic.TypeAdapter[object] = pydantic.TypeAdapter(_known_stage(name).make)
    return with_words(adapter.validate_python, parameters, at, ("stages", position, name))


def short_form(name: str, value: object) -> dict[str, object]:
    """The parameters of `- keep_where: "..."`: a single value is the stage's first parameter.

    Args:
        name: Name of the stage.
        value: The value.

    Returns:
        A mapping of the first parameter to the value.

    Raises:
        RecipeError: The stage is unknown or has no parameters.
    """
    first = next(iter(_known_stage(name).parameters), None)
    if first is None:
        raise RecipeError(f"stage {name!r} takes no parameters, got {value!r}")
    return {first: value}


def stage_labels(specs: Iterable[StageSpec]) -> list[str]:
    """Stage names made unique: a second `length` is counted as `length#2`."""
    seen: dict[str, int] = {}
    labels = []
    for spec in specs:
        seen[spec.name] = seen.get(spec.name, 0) + 1
        labels.append(spec.name if seen[spec.name] == 1 else f"{spec.name}#{seen[spec.name]}")
    return labels
