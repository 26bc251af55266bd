"""JSON files that others may have written: of folders of runs, tokens, models and indexes, and answers of a person.

Such a file is bounded in what it may hold, and its values are checked against the types that the code which reads it
declares. So a file that is damaged, made by another program or made to do harm is an error that names it and the
place in it. A file that a process writes for itself alone needs none of this.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

import orjson

__all__ = ["MOST_BYTES", "fault_in", "parsed", "read_json"]

MOST_BYTES = 256 << 20
"""Size of the largest file that is read; texts of samples take most of such a file."""

_MOST_VALUES = 4_000_000  # about 100 bytes of memory each
_SHOWN = 60  # characters of a wrong value
_PLAIN: Mapping[object, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a text"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    type(None): ((type(None),), "null"),
}
T = TypeVar("T")
Type: TypeAlias = Any
"""What stands in an annotation: a class, or a form of one such as `list[int]` or `int | None`."""


def read_json(path: str | Path, kind: type[T], error: type[Exception]) -> T:
    """Read a JSON file.

    Args:
        path: Path of the file.
        kind: Type of its content, such as a TypedDict, a dataclass or `dict[str, int]`; it says what is checked, and
            what is given back is the parsed JSON.
        error: What to raise.

    Returns:
        Its content.

    Raises:
        Exception: of the type `error`: the file cannot be read, or holds something else.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from None
    return parsed(data, str(path), kind, error)


def parsed(data: bytes, place: str, kind: type[T], error: type[Exception]) -> T:
    """Parse the content of a JSON file.

    Args:
        data: The content.
        place: The file, or its line, for the error.
        kind: Type of the content.
        error: What to raise.

    Returns:
        The content.

    Raises:
        Exception: of the type `error`: the content is too large, no JSON, or of another type; the message names the
            place and the value.
    """
    if len(data) > MOST_BYTES:
        raise error(f"{place} is refused: it has over {MOST_BYTES >> 20} MiB; raylib does not write such a file")
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise error(f"{place} is refused: it holds over {_MOST_VALUES:,} values; raylib does not write such a file")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        raise error(f"{place} is damaged: it is not JSON: {problem}") from None
    wrong = fault_in(value, kind)
    if wrong:
        raise error(f"{place} is damaged, or made by another program: {wrong}")
    content: T = value
    return content


def fault_in(value: object, kind: Type, path: str = "") -> str:
    """Find the first value that is not of the declared type.

    Args:
        value: What was parsed.
        kind: Its type. Keys that a TypedDict or a dataclass does not declare may hold anything.
        path: Path of the value, for the message.

    Returns:
        What is wrong, in words; empty if nothing is.
    """
    if is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return _fault_in_fields(value, kind, path)
    origin: Any = get_origin(kind)
    arguments = get_args(kind)
    if kind in _PLAIN:
        wanted, said = _PLAIN[kind]
        fits = isinstance(value, wanted) and (kind is bool or not isinstance(value, bool))
        return "" if fits else _wrong(value, said, path)
    if origin is Literal:
        return "" if value in arguments else _wrong(value, f"one of {', '.join(map(str, arguments))}", path)
    if origin in (Union, types.UnionType):
        faults = [fault_in(value, way, path) for way in arguments]
        return "" if "" in faults else faults[0]
    return _fault_in_items(value, kind if origin is None else origin, arguments, path)


def _fault_in_items(value: object, container: Type, arguments: tuple[Any, ...], path: str) -> str:
    """Find the first wrong value in a mapping, a list or a tuple."""
    if container is object or container is Any:
        return ""
    if container is tuple and Ellipsis not in arguments:
        if not isinstance(value, list) or len(value) != len(arguments):
            return _wrong(value, f"a list of {len(arguments)}", path)
        pairs = zip(value, arguments, strict=True)
        return next(filter(None, (fault_in(v, way, f"{path}[{i}]") for i, (v, way) in enumerate(pairs))), "")
    if issubclass(container, Mapping):
        if not isinstance(value, dict):
            return _wrong(value, "an object", path)
        inner = arguments[1] if arguments else object
        return next(filter(None, (fault_in(v, inner, _below(path, name)) for name, v in value.items())), "")
    assert issubclass(container, Sequence), f"{container} is no type of JSON"
    if not isinstance(value, list):
        return _wrong(value, "a list", path)
    inner = arguments[0] if arguments else object
    return next(filter(None, (fault_in(v, inner, f"{path}[{i}]") for i, v in enumerate(value))), "")


def _fault_in_fields(value: object, kind: Type, path: str) -> str:
    """Find what is missing or wrong in an object whose keys are declared."""
    if not isinstance(value, dict):
        return _wrong(value, "an object", path)
    for name, way in _hints(kind).items():
        if name in value:
            wrong = fault_in(value[name], way, _below(path, name))
            if wrong:
                return wrong
        elif name in _required(kind):
            return f"{_below(path, name)} is missing"
    return ""


@functools.cache
def _hints(kind: Type) -> dict[str, Any]:
    return get_type_hints(kind)


@functools.cache
def _required(kind: Type) -> frozenset[str]:
    """Keys that have to be there: in a dataclass those without a default."""
    if is_typeddict(kind):
        return frozenset(kind.__required_keys__)
    nothing = dataclasses.MISSING
    return frozenset(f.name for f in dataclasses.fields(kind) if f.default is nothing and f.default_factory is nothing)


def _below(path: str, name: str) -> str:
    return f"{path}.{name[:_SHOWN]}" if path else name[:_SHOWN]


def _wrong(value: object, wanted: str, path: str) -> str:
    shown = repr(value)[:_SHOWN] if isinstance(value, (str, int, float)) or value is None else "something else"
    return f"{path or 'the content'} should be {wanted}, is {shown}"
