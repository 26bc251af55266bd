"""What names in an expression stand for: columns of a table, and fields of `meta` of any JSON type."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ParameterError, nearest
from raylib.messages import is_messages
from raylib.schema import text_of

__all__ = [
    "Column",
    "ExpressionError",
    "Field",
    "Plain",
    "Scope",
    "Value",
    "alike",
    "number",
    "path_of",
    "plain",
]

Plain: TypeAlias = int | float | str | bool
Column: TypeAlias = pa.Array | pa.ChunkedArray


class ExpressionError(ParameterError):
    """An expression cannot be read, or cannot be evaluated over the columns of a table; says why."""


@dataclass(frozen=True)
class Field:
    """A field of `meta`: of any JSON type, record by record. What it is compared with decides how it is read."""

    values: list[object]

    def all(self, *kinds: type) -> bool:
        """Whether every value is null or of one of these types."""
        return all(v is None or type(v) in kinds for v in self.values)

    def numbers(self) -> pa.Array:
        """Numbers; all other values are null."""
        if self.all(int) and all(v is None or (isinstance(v, int) and v < 1 << 63) for v in self.values):
            return pa.array(self.values, pa.int64())
        kept = [float(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else None for v in self.values]
        return pa.array(kept, pa.float64())

    def strings(self) -> pa.Array:
        """Strings; all other values are null."""
        return pa.array([v if isinstance(v, str) else None for v in self.values], pa.large_string())

    def booleans(self) -> pa.Array:
        """Booleans; all other values are null."""
        return pa.array([v if isinstance(v, bool) else None for v in self.values], pa.bool_())

    def like(self, other: Column | Plain) -> pa.Array:
        """As values of the other's type."""
        kind = other.type if isinstance(other, (pa.Array, pa.ChunkedArray)) else pa.scalar(other).type
        if pa.types.is_boolean(kind):
            return self.booleans()
        return self.strings() if pa.types.is_string(kind) or pa.types.is_large_string(kind) else self.numbers()

    def nulls(self) -> pa.Array:
        """Whether each value is null."""
        return pa.array([v is None for v in self.values], pa.bool_())


Value: TypeAlias = Column | Plain | Field


@dataclass(frozen=True)
class Scope:
    """The columns of a table by name, and the fields of its `meta`, which is parsed when one is first asked for."""

    table: pa.Table
    expression: str

    @cached_property
    def _meta(self) -> list[object]:
        return [_object(v) for v in self.table["meta"].to_pylist()]

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self.table.column_names

    def column(self, name: str) -> Column:
        """The column of this name. Raises ExpressionError."""
        if self.has(name):
            return _as_text(self.table, name) if is_messages(self.table[name].type) else self.table[name]
        if name == "text":
            return text_of(self.table)
        if self.has("meta") and any(isinstance(m, dict) and name in m for m in self._meta):
            hint = f"; it is in meta: write meta.{name}"
        else:
            hint = nearest(name, self.table.column_names)
        raise ExpressionError(f"no column {name!r}{hint}")

    def field(self, path: list[str]) -> Field:
        """The field of `meta` that these names lead to."""
        values = self._meta
        for name in path:
            values = [v.get(name) if isinstance(v, dict) else None for v in values]
        return Field(values)

    def refusal(self, what: ast.AST) -> ExpressionError:
        """The error for something that the language does not have."""
        return ExpressionError(f"{type(what).__name__} is not allowed in {self.expression!r}")


def _as_text(table: pa.Table, name: str) -> pa.Array:
    """A column of messages as the text that conditions can look at: `length(chosen)`, `contains(prompt, "x")`."""
    said = text_of(table.select([name]))
    return pc.if_else(table[name].is_valid(), said, pa.scalar(None, said.type))


def _object(text: str | None) -> object:
    """The JSON object in a text; None for anything else."""
    if not text:
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def path_of(node: ast.AST) -> list[str] | None:
    """Names of `meta.a.b` or `meta["a"].b` after `meta`; None for anything else."""
    path: list[str] = []
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute):
            path.append(node.attr)
        elif isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            path.append(node.slice.value)
        else:
            return None
        node = node.value
    return path[::-1] if path and isinstance(node, ast.Name) and node.id == "meta" else None


def plain(found: Value) -> Column | Plain:
    """A field as the condition that it must be if it is used alone."""
    return found.booleans() if isinstance(found, Field) else found


def number(found: Value) -> Column | Plain:
    """A field as the number that it must be in arithmetic."""
    return found.numbers() if isinstance(found, Field) else found


def alike(left: Value, right: Value) -> tuple[Column | Plain, Column | Plain]:
    """Both sides of a comparison as arrays or plain values."""
    if isinstance(left, Field) and isinstance(right, Field):
        numeric = left.all(int, float) and right.all(int, float)
        return (left.numbers(), right.numbers()) if numeric else (left.strings(), right.strings())
    if isinstance(left, Field):
        assert not isinstance(right, Field)
        return left.like(right), right
    return left, right.like(left) if isinstance(right, Field) else right
