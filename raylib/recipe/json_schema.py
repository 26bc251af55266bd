"""The JSON schema of recipes, by which editors complete and check them: `raylib schema recipe`."""

from __future__ import annotations

from typing import cast

import pydantic

from raylib.recipe.chains import source_names
from raylib.recipe.options import EngineOptions, InputOptions, Options, OutputOptions
from raylib.recipe.stages import PER_SOURCE
from raylib.stage import StageInfo, stage_info, stage_names

__all__ = ["json_schema"]

Schema = dict[str, object]
_NO_PARAMETERS = {"type": "null", "description": "The stage with its defaults."}


def json_schema() -> Schema:
    """The schema of a recipe (draft 2020-12), with every stage that is installed.

    A recipe that the schema accepts may still be refused when it is read, because some rules join several values.
    A value that YAML gives as a string, such as `1e-4`, is refused by the schema where a number is expected.

    Returns:
        The schema, ready to be written as JSON.
    """
    infos = [stage_info(name) for name in stage_names()]
    stages = {info.name: _stage_schema(info) for info in infos}
    definitions: Schema = {_definition(name): schema for name, schema in stages.items()}
    definitions["stage"] = _item_schema(infos, stages)
    sections: dict[str, type[Options]] = {"input": InputOptions, "output": OutputOptions, "engine": EngineOptions}
    properties: Schema = {name: _section_schema(kind) for name, kind in sections.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe of raylib",
        "description": "Says what to read, which stages to run and where to write. Run it by `raylib run FILE`.",
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Name of the run. By default, the file's name."},
            **properties,
            "stages": {
                "type": ["array", "null"],
                "description": "Stages in the order in which they run.",
                "items": {"$ref": "#/$defs/stage"},
            },
        },
        "required": ["input", "output"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _definition(name: str) -> str:
    """Name of the definition of a stage's parameters."""
    return f"stage.{name}"


def _section_schema(kind: type[Options]) -> Schema:
    """A section of the recipe."""
    schema = _without_titles(kind.model_json_schema())
    schema["description"] = f"The `{kind.__name__.removesuffix('Options').lower()}` section of a recipe."
    return schema


def _without_titles(schema: Schema) -> Schema:
    """A schema of pydantic without the titles that it makes of field names."""
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    for field in properties.values():
        field.pop("title", None)
    schema.pop("title", None)
    return schema


def _stage_schema(info: StageInfo) -> Schema:
    """A mapping of a stage's parameters."""
    schema = _without_titles(pydantic.TypeAdapter(info.make).json_schema())
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    for name in properties.keys() - info.parameters.keys():  # fields that the constructor does not take
        del properties[name]
    for name, description in info.descriptions.items():
        if name in properties:
            properties[name].setdefault("description", description)
    if info.kind != "global":
        properties[PER_SOURCE] = {
            "type": "object",
            "description": "Other parameters for the records of some sources: a mapping of parameters by source.",
            "additionalProperties": {"type": "object"},
        }
    schema["description"] = info.summary
    schema["additionalProperties"] = False
    return schema


def _item_schema(infos: list[StageInfo], stages: dict[str, Schema]) -> Schema:
    """An item of `stages`: a name, or a mapping of one name to its parameters."""
    by_name: Schema = {info.name: _parameters_schema(info, stages[info.name]) for info in infos}
    return {
        "anyOf": [
            {
                "description": "A stage with its defaults.",
                "enum": [name for name, schema in stages.items() if not schema.get("required")],
            },
            {
                "description": "A stage and its parameters.",
                "type": "object",
                "properties": {"clean": _chain_schema(stages), **by_name},
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
        ]
    }


def _parameters_schema(info: StageInfo, stage: Schema) -> Schema:
    """Parameters of a stage: a mapping, the first parameter alone, or nothing."""
    forms: list[Schema] = [{"$ref": f"#/$defs/{_definition(info.name)}"}]
    first = next(iter(info.parameters), None)
    required = cast("list[str]", stage.get("required", []))
    if first is not None and set(required) <= {first}:
        value = cast("dict[str, Schema]", stage["properties"])[first]
        short = {key: part for key, part in value.items() if key != "default"}
        forms.append({**short, "description": f"Value of `{first}`."})
    if not required:
        forms.append(dict(_NO_PARAMETERS))
    return {"description": str(stage["description"]).split("\n", maxsplit=1)[0], "anyOf": forms}


def _chain_schema(stages: dict[str, Schema]) -> Schema:
    """The stages of a ready chain: a source, or a source and changes to parameters of its stages."""
    source: Schema = {
        "type": "string",
        "description": "Name of a ready chain, or path of a YAML file with a `stages` list.",
        "examples": list(source_names()),
    }
    changes: Schema = {
        name: {
            "type": "object",
            "description": f"Changed parameters of the chain's stage `{name}`.",
            "properties": {
                parameter: {"$ref": f"#/$defs/{_definition(name)}/properties/{parameter}"}
                for parameter in cast("dict[str, Schema]", schema.get("properties", {}))
            },
            "additionalProperties": False,
        }
        for name, schema in stages.items()
    }
    mapping: Schema = {
        "type": "object",
        "properties": {"source": source, **changes},
        "required": ["source"],
        "additionalProperties": False,
    }
    return {"description": "All stages of the ready chain for a source.", "anyOf": [source, mapping]}
