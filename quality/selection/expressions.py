"""The expression language of `keep_where`: parsed, checked, evaluated over columns."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ParameterError, nearest
from raylib.schema import single_chunk, text_of

__all__ = ["ExpressionError", "evaluate", "numbers", "parsed", "value"]

Plain: TypeAlias = int | float | str | bool
Column: TypeAlias = pa.Array | pa.ChunkedArray
Node = TypeVar("Node", bound=ast.AST)

_COMPARE: dict[type[ast.cmpop], Callable[[Column | Plain, Column | Plain], Column]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Column | Plain, Column | Plain], Column]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}
_FUNCTIONS: dict[str, Callable[..., Column]] = {
    "length": pc.utf8_length,
    "contains": pc.match_substring,
    "matches": pc.match_substring_regex,
    "is_null": pc.is_null,
    "lower": pc.utf8_lower,
}


class ExpressionError(ParameterError):
    """An expression cannot be read, or cannot be evaluated over the columns of a table; says why."""


def evaluate(expression: str, table: pa.Table) -> pa.Array:
    """Evaluate a condition such as `length(text) > 200 and source != "forum"` for each record.

    Allowed: column names (with dots too: `quality.score`), fields that records had in the input (`meta.url`,
    `meta["final score"]`), numbers, strings, comparisons (chained, `in` a list), and/or/not, + - * /, and length(),
    contains(), matches(), is_null(), lower(). Nulls compare as false.

    Args:
        expression: The condition.
        table: N records.

    Returns:
        N booleans without nulls.

    Raises:
        ExpressionError: If the expression cannot be read, names a column that is not there, or is not a condition.
    """
    found = value(expression, table)
    if not isinstance(found, (pa.Array, pa.ChunkedArray)) or found.type != pa.bool_():
        raise ExpressionError(f"{expression!r} is not a condition: it must be true or false for each record")
    return pc.fill_null(single_chunk(found), False)


def value(expression: str, table: pa.Table) -> Column | Plain:
    """Evaluate an expression of any type.

    Args:
        expression: The expression; see `evaluate`.
        table: N records.

    Returns:
        N values, or a plain value if the expression names no column.

    Raises:
        ExpressionError: If the expression cannot be read or evaluated.
    """
    tree = parsed(expression)
    try:
        found = _value(tree, _Scope(table, expression))
        return found.numbers() if isinstance(found, _Field) and not found.all(bool) else _plain(found)
    except (pa.ArrowException, TypeError, ArithmeticError, RecursionError) as error:
        raise ExpressionError(f"{expression!r}: {str(error).splitlines()[0]}") from None


def numbers(expression: str, table: pa.Table) -> pa.Array:
    """Evaluate an expression, such as the parameter `by` of a stage, as float64.

    Args:
        expression: The expression; see `evaluate`.
        table: N records.

    Returns:
        N numbers; null where a column is null.

    Raises:
        ExpressionError: If it cannot be evaluated, is not a number, or is the same for all records.
    """
    found = value(expression, table)
    if isinstance(found, (int, float)):
        raise ExpressionError("it is the same for all records")
    try:
        return pc.cast(single_chunk(found), pa.float64())
    except (ValueError, AttributeError, pa.ArrowException) as error:
        raise ExpressionError(str(error)) from None


def parsed(expression: str) -> ast.expr:
    """Parse an expression.

    Raises:
        ExpressionError: If it cannot be read.
    """
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"cannot read {expression!r}: {error}") from None


# ---- what names stand for -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
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


Value: TypeAlias = Column | Plain | _Field


@dataclass(frozen=True)
class _Scope:
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
            return self.table[name]
        if name == "text":
            return text_of(self.table)
        if self.has("meta") and any(isinstance(m, dict) and name in m for m in self._meta):
            hint = f"; it is in meta: write meta.{name}"
        else:
            hint = nearest(name, self.table.column_names)
        raise ExpressionError(f"no column {name!r}{hint}")

    def field(self, path: list[str]) -> _Field:
        """The field of `meta` that these names lead to."""
        values = self._meta
        for name in path:
            values = [v.get(name) if isinstance(v, dict) else None for v in values]
        return _Field(values)

    def refusal(self, what: ast.AST) -> ExpressionError:
        """The error for something that the language does not have."""
        return ExpressionError(f"{type(what).__name__} is not allowed in {self.expression!r}")


def _object(text: str | None) -> object:
    """The JSON object in a text; None for anything else."""
    if not text:
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


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


def _plain(found: Value) -> Column | Plain:
    """A field as the condition that it must be if it is used alone."""
    return found.booleans() if isinstance(found, _Field) else found


def _number(found: Value) -> Column | Plain:
    """A field as the number that it must be in arithmetic."""
    return found.numbers() if isinstance(found, _Field) else found


def _alike(left: Value, right: Value) -> tuple[Column | Plain, Column | Plain]:
    """Both sides of a comparison as arrays or plain values."""
    if isinstance(left, _Field) and isinstance(right, _Field):
        numeric = left.all(int, float) and right.all(int, float)
        return (left.numbers(), right.numbers()) if numeric else (left.strings(), right.strings())
    if isinstance(left, _Field):
        assert not isinstance(right, _Field)
        return left.like(right), right
    return left, right.like(left) if isinstance(right, _Field) else right


# ---- evaluation -----------------------------------------------------------------------------------


def _value(node: ast.AST, scope: _Scope) -> Value:
    """The value of any expression. Raises ExpressionError for what the language does not have."""
    if isinstance(node, ast.Constant):
        return _constant(node, scope)
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        return _named(node, scope)
    if isinstance(node, ast.BoolOp):
        return _combined(node, scope)
    if isinstance(node, ast.UnaryOp):
        return _unary(node, scope)
    if isinstance(node, ast.BinOp):
        return _calculated(node, scope)
    if isinstance(node, ast.Compare):
        return _compared(node, scope)
    if isinstance(node, ast.Call):
        return _called(node, scope)
    raise scope.refusal(node)


def _constant(node: ast.Constant, scope: _Scope) -> Plain:
    """A number, a string, true or false."""
    if isinstance(node.value, (int, float, str, bool)):
        return node.value
    raise scope.refusal(node)


def _named(node: ast.Name | ast.Attribute | ast.Subscript, scope: _Scope) -> Value:
    """A column, or a field of `meta`."""
    name, path = ast.unparse(node), _path(node)
    if path is not None and not scope.has(name):
        return scope.field(path) if scope.has("meta") else scope.column("meta")
    if isinstance(node, ast.Subscript):
        raise scope.refusal(node)
    return scope.column(name)


def _combined(node: ast.BoolOp, scope: _Scope) -> Value:
    """Conditions joined by `and` or `or`."""
    combine = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
    first, *rest = [_plain(_value(v, scope)) for v in node.values]
    for condition in rest:
        first = combine(first, condition)
    return first


def _unary(node: ast.UnaryOp, scope: _Scope) -> Value:
    """`not` a condition, or a number with its sign changed."""
    if not isinstance(node.op, (ast.Not, ast.USub)):
        raise scope.refusal(node)
    found = _value(node.operand, scope)
    if isinstance(node.op, ast.Not):
        return pc.invert(_plain(found))
    found = _number(found)
    return operator.neg(found) if isinstance(found, (int, float)) else pc.negate(found)


def _calculated(node: ast.BinOp, scope: _Scope) -> Value:
    """A sum, difference, product or quotient."""
    calculate = _ARITHMETIC.get(type(node.op))
    if calculate is None:
        raise scope.refusal(node)
    return calculate(_number(_value(node.left, scope)), _number(_value(node.right, scope)))


def _called(node: ast.Call, scope: _Scope) -> Value:
    """One of the functions of the language."""
    if not isinstance(node.func, ast.Name) or node.keywords:
        raise scope.refusal(node)
    function = _FUNCTIONS.get(node.func.id)
    if function is None:
        raise ExpressionError(f"unknown function {node.func.id!r}{nearest(node.func.id, _FUNCTIONS)}")
    given = [_value(a, scope) for a in node.args]
    if node.func.id == "is_null" and len(given) == 1 and isinstance(given[0], _Field):
        return given[0].nulls()
    try:
        return function(*(g.strings() if isinstance(g, _Field) else g for g in given))
    except (TypeError, pa.ArrowException) as error:
        raise ExpressionError(f"{ast.unparse(node)}: {error}") from None


def _compared(node: ast.Compare, scope: _Scope) -> Value:
    """A comparison, or a chain of them."""
    left = _value(node.left, scope)
    out: Column | None = None
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, (ast.In, ast.NotIn)):
            result, left = _among(left, op, right_node, scope)
        elif type(op) in _COMPARE:
            right = _value(right_node, scope)
            try:
                result = _COMPARE[type(op)](*_alike(left, right))
            except pa.ArrowException as error:
                raise ExpressionError(f"{ast.unparse(node)}: {error}") from None
            left = right
        else:
            raise scope.refusal(op)
        out = result if out is None else pc.and_kleene(out, result)
    return out


def _among(left: Value, op: ast.In | ast.NotIn, choices: ast.expr, scope: _Scope) -> tuple[Column, Value]:
    """Whether values are in a list, and the values themselves as they were compared."""
    if not isinstance(choices, (ast.List, ast.Tuple, ast.Set)):
        raise ExpressionError(f"`in` needs a list in brackets in {scope.expression!r}")
    listed = pa.array([_value(e, scope) for e in choices.elts])
    if isinstance(left, _Field):
        left = left.like(listed)
        listed = listed.cast(left.type)
    result = pc.is_in(left, value_set=listed)
    return (pc.invert(result) if isinstance(op, ast.NotIn) else result), left
