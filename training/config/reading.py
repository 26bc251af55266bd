"""Reading a configuration: YAML, dotted overrides, and unknown keys reported with the nearest valid name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args, get_type_hints

import yaml

from raylib.errors import TrainingError, nearest

__all__ = ["check_keys", "override", "plain_mapping", "read_yaml"]


def read_yaml(path: str | Path) -> object:
    """The content of a YAML file.

    Raises:
        TrainingError: if the file cannot be read or is not YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise TrainingError(f"{path}: not YAML: {error}") from None


def plain_mapping(data: object, where: str) -> dict[str, object]:
    """A copy of the data with string keys, and lists in place of tuples.

    Raises:
        TrainingError: if the data is not a mapping.
    """
    if not isinstance(data, dict):
        raise TrainingError(f"{where}: a training configuration is a mapping with objective, model, data and output")
    return {str(key): _plain(value) for key, value in data.items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def override(data: dict[str, object], overrides: Mapping[str, object]) -> None:
    """Set dotted keys such as `optimizer.learning_rate` in place.

    Raises:
        TrainingError: if a key leads through something that is not a section.
    """
    for key, value in overrides.items():
        *parents, last = key.split(".")
        target = data
        for part in parents:
            section = target.setdefault(part, {})
            if not isinstance(section, dict):
                raise TrainingError(f"--set {key}: {part!r} is not a section")
            target = section
        target[last] = value


def check_keys(kind: type, data: Mapping[str, object], where: str, prefix: str = "") -> None:
    """Check the keys of a section and of the sections and lists inside it.

    Args:
        kind: Dataclass of the section.
        data: What the file holds for it.
        where: Name of the file, for the message.
        prefix: Dotted path of the section, for the message.

    Raises:
        TrainingError: if a key is unknown; names it and the nearest valid one.
    """
    hints = get_type_hints(kind)
    for key, value in data.items():
        if key not in hints:
            raise TrainingError(f"{where}: unknown key {prefix}{key}{nearest(key, list(hints))}")
        for inner, place, item in _inner_sections(hints[key], f"{prefix}{key}", value):
            check_keys(inner, item, where, f"{place}.")


def _inner_sections(hint: object, place: str, value: object) -> Iterator[tuple[type, str, Mapping[str, object]]]:
    """Sections inside a value, each with its dataclass and its dotted path: one, or the items of a list."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if isinstance(value, dict):
            yield hint, place, value
        return
    for inner in get_args(hint):
        if isinstance(inner, type) and dataclasses.is_dataclass(inner) and isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, dict):
                    yield inner, f"{place}[{number}]", item
