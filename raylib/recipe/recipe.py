"""Recipes: YAML with line numbers -> a validated `Recipe` -> stages.

A recipe says what to read, which stages to run and where to write. Every way in (command line,
Python API, job scripts) builds one of these and passes it to `raylib.engine.run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pydantic
import yaml

from raylib.credentials import secret_told, secrets_of
from raylib.errors import RecipeError, nearest
from raylib.recipe.chains import stages_of
from raylib.recipe.options import EngineOptions, InputOptions, Options, OutputOptions
from raylib.recipe.overrides import override
from raylib.recipe.stages import StageSpec
from raylib.user_yaml import Document, KeyPath, Where, full_width_hint, parse_document, read_document
from raylib.validation import explain, with_words

__all__ = ["Recipe"]

Section = TypeVar("Section", bound=Options)
_PARTS = ("name", "input", "output", "engine", "stages")


@dataclass(frozen=True)
class Recipe:
    """A validated recipe. Build it with `from_file`, `from_dict` or the Dataset API.

    Attributes:
        name: Name that reports and metrics show.
        input: What to read, and how.
        output: Where and how to write.
        engine: How to run.
        stages: Stages in the order in which they run.
    """

    name: str
    input: InputOptions
    output: OutputOptions
    engine: EngineOptions
    stages: tuple[StageSpec, ...] = ()

    def __post_init__(self) -> None:
        paths = [path for spec in self.stages for _, path in spec.paths()]
        given = {"input": self.input.path, "output": self.output.path, "engine": self.engine.address, "stages": paths}
        for place, found in secrets_of(given):
            raise RecipeError(secret_told(place[:1], found))

    @classmethod
    def from_file(cls, path: str | Path, overrides: Mapping[str, object] | None = None) -> Recipe:
        """Read a YAML recipe.

        Args:
            path: Path of the file.
            overrides: Values by dotted key, as `--set engine.actors=4` gives them.

        Returns:
            The validated recipe.

        Raises:
            RecipeError: The file cannot be read or is wrong; names file, line, key and the nearest valid name.
        """
        return cls._of(read_document(path, RecipeError), overrides)

    @classmethod
    def from_text(cls, text: str, where: str = "recipe", overrides: Mapping[str, object] | None = None) -> Recipe:
        """Parse and validate the text of a YAML recipe.

        Args:
            text: The text.
            where: Name of its place, for errors; its stem is the recipe's name if the recipe has none.
            overrides: Values by dotted key, as `--set engine.actors=4` gives them.

        Returns:
            The validated recipe.

        Raises:
            RecipeError: The recipe is wrong; names line, key and the nearest valid name.
        """
        return cls._of(parse_document(text, where, RecipeError), overrides)

    @classmethod
    def _of(cls, document: Document, overrides: Mapping[str, object] | None) -> Recipe:
        """The recipe that a document holds."""
        try:
            return cls._validated(document.data, document.where, overrides)
        except RecipeError as error:
            hint = full_width_hint(document.text)
            raise (RecipeError(f"{error}; {hint}") if hint else error) from None

    @classmethod
    def from_dict(
        cls,
        data: object,
        where: str = "recipe",
        lines: Mapping[KeyPath, int] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Recipe:
        """Validate a mapping.

        Args:
            data: The recipe as YAML gives it.
            where: Name of its place, for errors; its stem is the recipe's name if the recipe has none.
            lines: Line number by the path of a key, for errors.
            overrides: Values by dotted key, as `--set engine.actors=4` gives them.

        Returns:
            The validated recipe.

        Raises:
            RecipeError: The recipe is wrong; names line, key and the nearest valid name.
        """
        return cls._validated(data, Where(where, lines or {}), overrides)

    @classmethod
    def _validated(cls, data: object, at: Where, overrides: Mapping[str, object] | None) -> Recipe:
        """The recipe that a mapping holds."""
        if not isinstance(data, dict):
            what = "is empty" if data is None else "holds something else"
            raise RecipeError(f"{at.file} {what}: a recipe is a mapping with input, output and stages")
        for place, found in secrets_of((data, dict(overrides or {}))):
            raise RecipeError(f"{at(*place[1:])}: {secret_told(place[1:], found)}")
        data = {k: (dict(v) if isinstance(v, dict) else v) for k, v in data.items()}
        for key, value in (overrides or {}).items():
            override(data, key, value)
        at = at.with_overrides(overrides)
        for key in data:
            if key not in _PARTS:
                raise RecipeError(f"{at(key)}: unknown key {key!r}{nearest(key, _PARTS)}{_other_command(data)}")
        for key in ("input", "output"):
            if key not in data:
                raise RecipeError(f"{at.file}: the recipe has no {key!r}; needed: {key}: {{path: ...}}")
        name = data.get("name")
        if name is not None and not isinstance(name, str):
            name = at.as_written("name") or str(name)
        return cls(
            name=name or Path(at.file).stem,
            input=_section(InputOptions, data["input"], "input", at),
            output=_section(OutputOptions, data["output"], "output", at),
            engine=_section(EngineOptions, data.get("engine") or {}, "engine", at),
            stages=stages_of(data.get("stages") or [], at),
        )

    def describe(self) -> dict[str, object]:
        """The resolved recipe: every default written out; a recipe again when no stage is a Python object."""
        return {
            "name": self.name,
            "input": self.input.model_dump(),
            "output": self.output.model_dump(),
            "engine": self.engine.model_dump(),
            "stages": [s.describe() for s in self.stages],
        }

    def to_yaml(self) -> str:
        """The resolved recipe as YAML."""
        return str(yaml.safe_dump(self.describe(), allow_unicode=True, sort_keys=False))


def _other_command(data: Mapping[str, object]) -> str:
    """What a file is that is no recipe, as far as that can be seen."""
    if "objective" in data:
        return "; this is a training configuration: raylib train"
    return "; this is a recipe of another program: raylib import" if "process" in data else ""


def _section(model: type[Section], data: object, name: str, at: Where) -> Section:
    """A validated section; errors name its key and line."""
    if not isinstance(data, dict):
        raise RecipeError(f"{at(name)}: {name!r} should be a mapping such as {{path: ...}}, is {data!r}")
    for key in data:
        if key not in model.model_fields:
            raise RecipeError(f"{at(name, key)}: unknown key {name}.{key}{nearest(key, model.model_fields)}")
    try:
        return model.model_validate(with_words(model.model_validate, data, at, (name,)))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = first["loc"][0] if first["loc"] else ""
        raise RecipeError(f"{at(name, key)}: {name}.{explain(error)}") from None
