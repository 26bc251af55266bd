"""Types, bounds and defaults of fields as the tables of the references show them."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import MISSING
from typing import Annotated, Literal, Union, get_args, get_origin

import annotated_types

__all__ = ["cell", "default_of", "type_of"]

_BOUNDS = (
    (annotated_types.Ge, "ge", "≥"),
    (annotated_types.Gt, "gt", ">"),
    (annotated_types.Le, "le", "≤"),
    (annotated_types.Lt, "lt", "<"),
)


def cell(text: str) -> str:
    """Text for a cell of a Markdown table: one line, vertical bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def default_of(value: object) -> str:
    """A default as YAML writes it; `(required)` for none."""
    return "(required)" if value is MISSING else f"`{_yaml(value)}`"


def _yaml(value: object) -> str:
    """A value as YAML writes it."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    return repr(value) if isinstance(value, str) else str(value)


def type_of(hint: object, metadata: Iterable[object] = ()) -> str:
    """A type and its bounds: `auto`, `file` or `line`; int ≥ 1; list of str.

    Args:
        hint: The type.
        metadata: Bounds of `annotated_types`, as pydantic keeps them.
    """
    bounds = [
        f" {sign} {getattr(bound, name):g}"
        for bound in metadata
        for kind, name, sign in _BOUNDS
        if isinstance(bound, kind)
    ]
    return cell(_name_of(hint) + ",".join(bounds))


def _name_of(hint: object) -> str:
    """The name of a type in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return type_of(inner[0], inner[1:])
    if origin is Literal:
        return _joined([f"`{choice}`" if choice else "empty" for choice in inner])
    if origin in (Union, types.UnionType):
        return _joined([_name_of(one) for one in inner if one is not type(None)])
    if origin in (tuple, list):
        many = origin is list or Ellipsis in inner
        return f"list of {_name_of(inner[0])}" if many else f"{len(inner)} x {_name_of(inner[0])}"
    if origin is dict:
        return "mapping"
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _joined(names: list[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
