"""Recipes: YAML with line numbers -> a validated `Recipe` -> stages.

A recipe says what to read, which stages to run and where to write. Every way in (command line,
Python API, job scripts) builds one of these and passes it to `raylib.engine.run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from raylib.errors import RecipeError
from raylib.stage import nearest, stage_info

__all__ = ["EngineOptions", "InputOptions", "OutputOptions", "Recipe", "StageSpec", "source_chain", "source_names"]

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


class _Options(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)


class InputOptions(_Options):
    """The `input` part of a recipe.

    path: file, glob, folder, URI, or a list of these.
    kind: auto, document, conversation, preference or safety. auto looks at the first record.
    encoding: auto (UTF-8, GB18030, Big5, UTF-16/32 with a byte order mark) or a codec name.
    text: for documents, the field (or list of fields, joined by newlines) that holds the text.
    document_per: for .txt files, one document a `file` or a `line`.
    source: value of `source` for records that have none; default: the file's name.
    max_record_mb: longer lines and documents go to the rejects.
    max_expansion: how many times a compressed file may grow before it is taken for a bomb.
    """

    path: str | list[str]
    kind: Literal["auto", "document", "conversation", "preference", "safety"] = "auto"
    encoding: str = "auto"
    text: str | list[str] | None = None
    document_per: Literal["file", "line"] = "file"
    source: str = ""
    max_record_mb: float = pydantic.Field(64, gt=0, le=512)
    max_expansion: float = pydantic.Field(200, ge=1)


class OutputOptions(_Options):
    """The `output` part of a recipe.

    path: folder (or URI) of the run. format: of the kept records: parquet, jsonl (zstd) or arrow.
    layout: for jsonl, write conversations back as data, alpaca, sharegpt or openai.
    samples: how many kept and how many rejected records the report shows.
    tokenizer: path of a tokenizer.json (or its folder): kept tokens are counted with it.
    split_by: a column, such as `stage`: kept records go to one folder for each of its values (`kept/stage1`,
    `kept/stage2` ...), and `splits.json` says what each holds.
    """

    path: str
    format: Literal["parquet", "jsonl", "arrow"] = "parquet"
    layout: Literal["", "data", "alpaca", "sharegpt", "openai"] = ""
    samples: int = pydantic.Field(100, ge=0, le=1000)
    tokenizer: str = ""
    split_by: str = ""


class EngineOptions(_Options):
    """The `engine` part of a recipe.

    mode: ray or inline (this process, no Ray). address: of a running cluster; empty: the one of the
    environment, or a local one that is started and stopped with the run. actors: workers; empty: one
    a CPU. batch_mb: raw megabytes of one task, the unit of work, commit and retry; empty: 4 or 8 by
    the size of the input. retries: how often a task is tried before its shard is quarantined. resolve_mb: megabytes of rows that a task of a shuffle may hold; a round gets
    more key ranges where there is more.
    dashboard: start Ray's dashboard with a local cluster. work_while_starting: an input
    that one core is done with in about so many seconds is worked on while a local Ray comes up; 0: never. seed: of everything that is sampled.
    keep_work: keep intermediate shards, so that a changed recipe redoes only what changed.
    gpus_per_model: GPUs (or a share of one) of an actor that runs a stage with a model, where the cluster has GPUs.
    """

    mode: Literal["ray", "inline"] = "ray"
    address: str = ""
    actors: int | None = pydantic.Field(None, ge=1)
    batch_mb: float | None = pydantic.Field(None, gt=0, le=1024)
    retries: int = pydantic.Field(3, ge=1)
    resolve_mb: float = pydantic.Field(128, gt=0)
    dashboard: bool = False
    work_while_starting: float = pydantic.Field(4.0, ge=0)
    seed: int = 0
    keep_work: bool = True
    gpus_per_model: float = pydantic.Field(1.0, gt=0)


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
            raise RecipeError(f"stage {self.name!r}: {_explain(error)}") from None

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


def _explain(error: pydantic.ValidationError) -> str:
    problems = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"])
        problems.append(f"{where}: {item['msg']} (got {item.get('input')!r})")
    return "; ".join(problems)


@dataclass(frozen=True)
class Recipe:
    """A validated recipe. Build it with `from_file`, `from_dict` or the Dataset API."""

    name: str
    input: InputOptions
    output: OutputOptions
    engine: EngineOptions
    stages: tuple[StageSpec, ...] = ()

    @classmethod
    def from_file(cls, path: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
        """Read a YAML recipe. Raises RecipeError with file, line, key and the nearest valid name."""
        path = Path(path)
        try:
            text = path.read_text("utf-8-sig")
        except OSError as error:
            raise RecipeError(f"cannot read recipe {path}: {error.strerror or error}") from None
        return cls.from_text(text, str(path), overrides)

    @classmethod
    def from_text(cls, text: str, where: str = "recipe", overrides: Mapping[str, Any] | None = None) -> Recipe:
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"{where}: not YAML: {error}") from None
        lines: dict[tuple[Any, ...], int] = {}
        if node is not None:
            _record_lines(node, (), lines)
        return cls.from_dict(data, where, lines, overrides)

    @classmethod
    def from_dict(
        cls,
        data: Any,
        where: str = "recipe",
        lines: Mapping[tuple[Any, ...], int] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """Validate a mapping. `overrides` are dotted keys, as of `--set engine.actors=4`."""
        if not isinstance(data, dict):
            raise RecipeError(f"{where}: a recipe is a mapping with input, output and stages")
        data = {k: (dict(v) if isinstance(v, dict) else v) for k, v in data.items()}
        for key, value in (overrides or {}).items():
            _override(data, key, value)
        at = _Where(where, lines or {})
        parts = {"name", "input", "output", "engine", "stages"}
        for key in data:
            if key not in parts:
                raise RecipeError(f"{at(key)}: unknown key {key!r}{nearest(key, parts)}")
        for key in ("input", "output"):
            if key not in data:
                raise RecipeError(f"{where}: the recipe has no {key!r}; needed: {key}: {{path: ...}}")
        return cls(
            name=str(data.get("name") or Path(where).stem),
            input=_section(InputOptions, data["input"], "input", at),
            output=_section(OutputOptions, data["output"], "output", at),
            engine=_section(EngineOptions, data.get("engine") or {}, "engine", at),
            stages=_stages(data.get("stages") or [], at),
        )

    def describe(self) -> dict[str, Any]:
        """The resolved recipe: every default written out; a recipe again when no stage is a Python object."""
        return {
            "name": self.name,
            "input": self.input.model_dump(),
            "output": self.output.model_dump(),
            "engine": self.engine.model_dump(),
            "stages": [s.describe() for s in self.stages],
        }

    def to_yaml(self) -> str:
        return str(yaml.safe_dump(self.describe(), allow_unicode=True, sort_keys=False))


@dataclass(frozen=True)
class _Where:
    file: str
    lines: Mapping[tuple[Any, ...], int]

    def __call__(self, *path: Any) -> str:
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines[path]}" if path in self.lines else self.file


def _record_lines(node: yaml.Node, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value)
            lines[inner] = key.start_mark.line + 1
            _record_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _record_lines(value, (*path, i), lines)


def _override(data: dict[str, Any], key: str, value: Any) -> None:
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
    data["stages"] = [item for given in data.get("stages") or [] for item in _expanded(given)]
    stages = [_split_stage(s) for s in data["stages"]]
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


def _expanded(item: Any) -> list[Any]:
    """A `clean: wechat` item as the stages of its chain, so that each can be overridden; others as they are."""
    split = _split_stage(item)
    if split is None or split[0] != "clean":
        return [item]
    return [{spec.name: dict(spec.parameters)} for spec in _chain(split[1])]


def _split_stage(item: Any) -> tuple[str, Any] | None:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, dict) and len(item) == 1:
        return next(iter(item.items()))
    return None


def _section(model: type[_Options], data: Any, name: str, at: _Where) -> Any:
    if not isinstance(data, dict):
        raise RecipeError(f"{at(name)}: {name!r} should be a mapping such as {{path: ...}}, is {data!r}")
    for key in data:
        if key not in model.model_fields:
            raise RecipeError(f"{at(name, key)}: unknown key {name}.{key}{nearest(key, model.model_fields)}")
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = first["loc"][0] if first["loc"] else ""
        raise RecipeError(f"{at(name, key)}: {name}.{_explain(error)}") from None


def _stages(items: Any, at: _Where) -> tuple[StageSpec, ...]:
    if not isinstance(items, list):
        raise RecipeError(f"{at('stages')}: 'stages' should be a list, is {type(items).__name__}")
    specs: list[StageSpec] = []
    for i, item in enumerate(items):
        split = _split_stage(item)
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
        _record_lines(node, (), lines)
    return list(_stages((data or {}).get("stages"), _Where(str(path), lines)))
