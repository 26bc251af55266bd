"""The expression language of `keep_where`: parsed, checked, evaluated over columns."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from quality.selection.operands import (
    Column,
    ExpressionError,
    Field,
    Plain,
    Scope,
    Value,
    alike,
    number,
    path_of,
    plain,
)
from raylib.errors import nearest
from raylib.schema import single_chunk

__all__ = ["ExpressionError", "evaluate", "numbers", "parsed", "value"]


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
        found = _value(tree, Scope(table, expression))
        return found.numbers() if isinstance(found, Field) and not found.all(bool) else plain(found)
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


_FOREIGN = {"&&": "and", "||": "or", "“": '"', "”": '"', "，": ",", "（": "(", "）": ")", "＝": "="}
"""Signs of other languages, and full-width ones, with what to write here."""


def parsed(expression: str) -> ast.expr:
    """Parse an expression.

    Raises:
        ExpressionError: If it cannot be read.
    """
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        found = next((sign for sign in _FOREIGN if sign in expression), None)
        if found is None and re.search(r"[^=<>!]=[^=]", expression):
            raise ExpressionError(f"cannot read {expression!r}: write == in place of =") from None
        reason = f"write {_FOREIGN[found]} in place of {found}" if found else getattr(error, "msg", None) or error
        raise ExpressionError(f"cannot read {expression!r}: {reason}") from None
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id not in _FUNCTIONS:
            raise ExpressionError(f"unknown function {part.func.id!r}{nearest(part.func.id, _FUNCTIONS)}")
    return node


# ---- evaluation -----------------------------------------------------------------------------------


def _value(node: ast.AST, scope: Scope) -> Value:
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


def _constant(node: ast.Constant, scope: Scope) -> Plain:
    """A number, a string, true or false."""
    if isinstance(node.value, (int, float, str, bool)):
        return node.value
    raise scope.refusal(node)


def _named(node: ast.Name | ast.Attribute | ast.Subscript, scope: Scope) -> Value:
    """A column, or a field of `meta`."""
    name, path = ast.unparse(node), path_of(node)
    if path is not None and not scope.has(name):
        return scope.field(path) if scope.has("meta") else scope.column("meta")
    if isinstance(node, ast.Subscript):
        raise scope.refusal(node)
    return scope.column(name)


def _combined(node: ast.BoolOp, scope: Scope) -> Value:
    """Conditions joined by `and` or `or`."""
    combine = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
    first, *rest = [plain(_value(v, scope)) for v in node.values]
    for condition in rest:
        first = combine(first, condition)
    return first


def _unary(node: ast.UnaryOp, scope: Scope) -> Value:
    """`not` a condition, or a number with its sign changed."""
    if not isinstance(node.op, (ast.Not, ast.USub)):
        raise scope.refusal(node)
    found = _value(node.operand, scope)
    if isinstance(node.op, ast.Not):
        return pc.invert(plain(found))
    found = number(found)
    return operator.neg(found) if isinstance(found, (int, float)) else pc.negate(found)


def _calculated(node: ast.BinOp, scope: Scope) -> Value:
    """A sum, difference, product or quotient."""
    calculate = _ARITHMETIC.get(type(node.op))
    if calculate is None:
        raise scope.refusal(node)
    return calculate(number(_value(node.left, scope)), number(_value(node.right, scope)))


def _called(node: ast.Call, scope: Scope) -> Value:
    """One of the functions of the language."""
    if not isinstance(node.func, ast.Name) or node.keywords:
        raise scope.refusal(node)
    function = _FUNCTIONS.get(node.func.id)
    if function is None:
        raise ExpressionError(f"unknown function {node.func.id!r}{nearest(node.func.id, _FUNCTIONS)}")
    given = [_value(a, scope) for a in node.args]
    if node.func.id == "is_null" and len(given) == 1 and isinstance(given[0], Field):
        return given[0].nulls()
    try:
        return function(*(g.strings() if isinstance(g, Field) else g for g in given))
    except (TypeError, pa.ArrowException) as error:
        raise ExpressionError(f"{ast.unparse(node)}: {error}") from None


def _compared(node: ast.Compare, scope: Scope) -> Value:
    """A comparison, or a chain of them."""
    left = _value(node.left, scope)
    out: Column | None = None
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, (ast.In, ast.NotIn)):
            result, left = _among(left, op, right_node, scope)
        elif type(op) in _COMPARE:
            right = _value(right_node, scope)
            try:
                result = _COMPARE[type(op)](*alike(left, right))
            except pa.ArrowException as error:
                raise ExpressionError(f"{ast.unparse(node)}: {error}") from None
            left = right
        else:
            raise scope.refusal(op)
        out = result if out is None else pc.and_kleene(out, result)
    return out


def _among(left: Value, op: ast.In | ast.NotIn, choices: ast.expr, scope: Scope) -> tuple[Column, Value]:
    """Whether values are in a list, and the values themselves as they were compared."""
    if not isinstance(choices, (ast.List, ast.Tuple, ast.Set)):
        raise ExpressionError(f"`in` needs a list in brackets in {scope.expression!r}")
    listed = pa.array([_value(e, scope) for e in choices.elts])
    if isinstance(left, Field):
        left = left.like(listed)
        listed = listed.cast(left.type)
    result = pc.is_in(left, value_set=listed)
    return (pc.invert(result) if isinstance(op, ast.NotIn) else result), left
