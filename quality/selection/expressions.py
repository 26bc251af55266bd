"""The expression language of `keep_where`: parsed, checked, evaluated over columns."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import cached_property
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError, nearest
from raylib.schema import single_chunk, text_of

__all__ = ["evaluate", "numbers", "parsed", "value"]


_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "length": pc.utf8_length,
    "contains": pc.match_substring,
    "matches": pc.match_substring_regex,
    "is_null": pc.is_null,
    "lower": pc.utf8_lower,
}


def evaluate(expression: str, table: pa.Table) -> pa.Array:
    """The boolean array of an expression such as `length(text) > 200 and source != "forum"`.

    Allowed: column names (dots too: `quality.score`), fields that a record brought along (`meta.url`,
    `meta["final score"]`), numbers, strings, comparisons (chained, `in` a list), and/or/not, + - * /, and length(),
    contains(), matches(), is_null(), lower(). Nulls compare as false. Raises StageError that names what is wrong.
    """
    found = value(expression, table)
    if not isinstance(found, (pa.Array, pa.ChunkedArray)) or found.type != pa.bool_():
        raise StageError(f"keep_where: {expression!r} is no condition: it must come out true or false for each record")
    return pc.fill_null(single_chunk(found), False)


def value(expression: str, table: pa.Table) -> Any:
    """What an expression comes to: an array, or a plain value when it names no column. Raises StageError."""
    tree = parsed(expression)
    try:
        found = _value(tree, _Columns(table), expression)
        return found.numbers() if isinstance(found, _Field) and not found.all(bool) else _plain(found)
    except (pa.ArrowException, TypeError, ArithmeticError, RecursionError) as error:
        raise StageError(f"keep_where: {expression!r}: {str(error).splitlines()[0]}") from None


def numbers(expression: str, table: pa.Table, stage: str) -> pa.Array:
    """What an expression comes to as float64, for the parameter `by` of a stage. Raises StageError."""
    try:
        found = value(expression, table)
        if isinstance(found, (int, float)):
            raise StageError("it is the same for all records")
        return pc.cast(single_chunk(found), pa.float64())
    except (ValueError, pa.ArrowException) as error:
        raise StageError(f"{stage}: by: {expression!r}: {str(error).removeprefix('keep_where: ')}") from None


def parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise StageError(f"keep_where: cannot read {expression!r}: {error}") from None


class _Field:
    """A field of `meta`: of any JSON type, record by record; what it is compared with decides what it is taken for."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def all(self, *kinds: type) -> bool:
        return all(v is None or type(v) in kinds for v in self.values)

    def numbers(self) -> pa.Array:
        """Numbers; whatever is none is null."""
        if self.all(int) and all(v is None or v < 1 << 63 for v in self.values):
            return pa.array(self.values, pa.int64())
        return pa.array([float(v) if type(v) in (int, float) else None for v in self.values], pa.float64())

    def strings(self) -> pa.Array:
        return pa.array([v if type(v) is str else None for v in self.values], pa.large_string())

    def booleans(self) -> pa.Array:
        return pa.array([v if type(v) is bool else None for v in self.values], pa.bool_())

    def like(self, other: Any) -> pa.Array:
        """As values of the other's type."""
        kind = other.type if isinstance(other, (pa.Array, pa.ChunkedArray)) else pa.scalar(other).type
        if pa.types.is_boolean(kind):
            return self.booleans()
        return self.strings() if pa.types.is_string(kind) or pa.types.is_large_string(kind) else self.numbers()

    def nulls(self) -> pa.Array:
        return pa.array([v is None for v in self.values], pa.bool_())


class _Columns:
    """Columns of a table by name, and the fields of its `meta`, which is parsed when one is first asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @cached_property
    def _meta(self) -> list[Any]:
        return [_object(v) for v in self.table["meta"].to_pylist()]

    def column(self, name: str) -> Any:
        if name in self.table.column_names:
            return self.table[name]
        if name == "text":
            return text_of(self.table)
        if "meta" in self.table.column_names and any(name in m for m in self._meta if m):
            hint = f"; it is in meta: write meta.{name}"
        else:
            hint = nearest(name, self.table.column_names)
        raise StageError(f"keep_where: no column {name!r}{hint}")

    def field(self, path: list[str]) -> _Field:
        values: list[Any] = self._meta
        for name in path:
            values = [v.get(name) if isinstance(v, dict) else None for v in values]
        return _Field(values)


def _object(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _path(node: ast.AST) -> list[str] | None:
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


def _plain(value: Any) -> Any:
    """A field as the condition that it must be where it stands alone."""
    return value.booleans() if isinstance(value, _Field) else value


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Both sides of a comparison as arrays or plain values."""
    if isinstance(left, _Field) and isinstance(right, _Field):
        numeric = left.all(int, float) and right.all(int, float)
        return (left.numbers(), right.numbers()) if numeric else (left.strings(), right.strings())
    if isinstance(left, _Field):
        return left.like(right), right
    return left, right.like(left) if isinstance(right, _Field) else right


def _value(node: ast.AST, columns: _Columns, source: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool)):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        name, path = ast.unparse(node), _path(node)
        if path is not None and name not in columns.table.column_names:
            return columns.field(path) if "meta" in columns.table.column_names else columns.column("meta")
        if not isinstance(node, ast.Subscript):
            return columns.column(name)
    if isinstance(node, ast.BoolOp):
        combine = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
        values = [_plain(_value(v, columns, source)) for v in node.values]
        out = values[0]
        for value in values[1:]:
            out = combine(out, value)
        return out
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        value = _value(node.operand, columns, source)
        if isinstance(node.op, ast.Not):
            return pc.invert(_plain(value))
        value = value.numbers() if isinstance(value, _Field) else value
        return operator.neg(value) if isinstance(value, (int, float)) else pc.negate(value)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        sides = (_value(side, columns, source) for side in (node.left, node.right))
        return _ARITHMETIC[type(node.op)](*(s.numbers() if isinstance(s, _Field) else s for s in sides))
    if isinstance(node, ast.Compare):
        return _comparison(node, columns, source)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise StageError(f"keep_where: unknown function {node.func.id!r}{nearest(node.func.id, _FUNCTIONS)}")
        given = [_value(a, columns, source) for a in node.args]
        if node.func.id == "is_null" and len(given) == 1 and isinstance(given[0], _Field):
            return given[0].nulls()
        try:
            return _FUNCTIONS[node.func.id](*(g.strings() if isinstance(g, _Field) else g for g in given))
        except (TypeError, pa.ArrowException) as error:
            raise StageError(f"keep_where: {ast.unparse(node)}: {error}") from None
    raise StageError(f"keep_where: {type(node).__name__} is not allowed in {source!r}")


def _comparison(node: ast.Compare, columns: _Columns, source: str) -> Any:
    left = _value(node.left, columns, source)
    out: Any = None
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(right_node, (ast.List, ast.Tuple, ast.Set)):
                raise StageError(f"keep_where: `in` needs a list in brackets in {source!r}")
            choices = pa.array([_value(e, columns, source) for e in right_node.elts])
            if isinstance(left, _Field):
                left = left.like(choices)
                choices = choices.cast(left.type)
            result = pc.is_in(left, value_set=choices)
            result = pc.invert(result) if isinstance(op, ast.NotIn) else result
            right = left
        elif type(op) in _COMPARE:
            right = _value(right_node, columns, source)
            try:
                result = _COMPARE[type(op)](*_alike(left, right))
            except pa.ArrowException as error:
                raise StageError(f"keep_where: {ast.unparse(node)}: {error}") from None
        else:
            raise StageError(f"keep_where: {type(op).__name__} is not allowed in {source!r}")
        out = result if out is None else pc.and_kleene(out, result)
        left = right
    return out
