"""Paths that a recipe, a configuration or a command names.

One rule for all of them: a relative path starts from the folder in which the command runs. It is made absolute there,
before anything is sent to a worker, because workers run in other folders. URIs stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar, cast, get_args, get_type_hints

__all__ = [
    "JOB_PACKAGES",
    "MadePath",
    "PathName",
    "absolute",
    "in_checkout",
    "located",
    "path_fields",
    "paths_in",
    "texts_in",
    "with_located_paths",
]

JOB_PACKAGES = "/runtime_resources/working_dir_files/"
"""Part of the path of every folder in which Ray unpacks what a job was submitted with."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Place:
    """Marks the type of a field whose value is a path.

    Attributes:
        made: Whether the program makes the file where it is missing.
    """

    made: bool = False


PathName: TypeAlias = Annotated[str, _Place()]
"""Type of a field that holds the path of a file or folder, or else the name of something built in."""

MadePath: TypeAlias = Annotated[str, _Place(made=True)]
"""Type of a field that holds the path of a file that is made where it is missing, such as a cache."""


def absolute(path: str) -> str:
    """A path that means the same in every folder.

    Args:
        path: A path, which may begin with `~`, or a URI.

    Returns:
        The absolute path; a URI and an empty path stay as they are.
    """
    return path if not path or "://" in path else os.path.abspath(os.path.expanduser(path))


def in_checkout(path: str) -> str:
    """The path, or that of the checkout's file of this name if there is none here.

    `ray submit` starts job scripts in the home of the head, and users name files as in their checkout.

    Args:
        path: Path of a file.

    Returns:
        The path as it is given, or an absolute one.
    """
    other = Path(__file__).parents[1] / path
    return str(other) if not os.path.exists(path) and other.is_file() else path


def located(value: object) -> object:
    """A value of a `PathName` field, or several in a list or mapping, that means the same in every folder.

    Args:
        value: The value.

    Returns:
        The value with absolute paths. A text that is no path here stays, because it may be a name: `tfidf`, the
        bundled lexicon `counters`, a model of a hub.
    """
    if isinstance(value, str):
        return absolute(value) if value.startswith((".", "~")) or os.path.exists(value) else value
    if isinstance(value, (list, tuple)):
        return type(value)(located(v) for v in value)
    if isinstance(value, Mapping):
        return {key: located(v) for key, v in value.items()}
    return value


@cache
def path_fields(owner: type, *, made: bool = True) -> frozenset[str]:
    """Names of the fields of a class that hold paths.

    Args:
        owner: A class with annotations.
        made: Whether to give also those of files that are made where they are missing.

    Returns:
        The names of the fields that are a `PathName` or `MadePath`, or a list or tuple of them. None of a class whose
        annotations cannot be resolved.
    """
    try:
        hints = get_type_hints(owner, include_extras=True)
    except NameError:
        return frozenset()
    return frozenset(name for name, hint in hints.items() if _holds_paths(hint, made=made))


def _holds_paths(hint: object, *, made: bool) -> bool:
    marks = getattr(hint, "__metadata__", ())
    here = any(isinstance(m, _Place) and (made or not m.made) for m in marks)
    return here or any(_holds_paths(a, made=made) for a in get_args(hint))


def with_located_paths(value: Value) -> Value:
    """A value in which the paths mean the same in every folder.

    Args:
        value: A data class whose `PathName` fields are paths, such as a stage or a configuration with sections; or
            anything else, which stays as it is.

    Returns:
        The value, changed where a path was relative.
    """
    return cast("Value", _with_located_paths(value))


def _with_located_paths(value: object) -> object:
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        made = [_with_located_paths(v) for v in value]
        if all(new is old for new, old in zip(made, value, strict=True)):
            return value
        return made if isinstance(value, list) else tuple(made)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    names = path_fields(type(value))
    changed: dict[str, object] = {}
    for field in fields(value):
        if field.init:
            old = getattr(value, field.name)
            if field.name not in names:  # may be anything, even what cannot be compared
                new = _with_located_paths(old)
                differs = new is not old
            else:
                new = located(old)
                differs = new != old
            if differs:
                changed[field.name] = new
    return replace(value, **changed) if changed else value


def paths_in(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The paths in a configuration.

    Args:
        value: A data class with `PathName` fields and sections.
        prefix: Dotted name of the value.

    Yields:
        Dotted name of the field, and its path; fields that are empty, or a `MadePath`, are left out.
    """
    if isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from paths_in(item, f"{prefix}.{number}")
    elif is_dataclass(value) and not isinstance(value, type):
        names, read = path_fields(type(value)), path_fields(type(value), made=False)
        for field in fields(value):
            name = f"{prefix}.{field.name}" if prefix else field.name
            held = getattr(value, field.name)
            if field.name in read:
                yield from ((name, path) for path in texts_in(held))
            elif field.name not in names:
                yield from paths_in(held, name)


def texts_in(value: object) -> Iterator[str]:
    """The paths that the value of a field holds.

    Args:
        value: A text, or several in a list or mapping.

    Yields:
        The texts that are not empty.
    """
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, Mapping):
        yield from texts_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)
