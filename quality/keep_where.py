"""`keep_where`: an explicit cut by a small, safe expression over columns; nothing is ever evaluated as code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import single_chunk, text_of
from raylib.stage import Outcome, StageInfo, keep_all, nearest, register, split_rejected

__all__ = ["KeepWhere", "evaluate", "value"]

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

    Allowed: column names (dots too: `quality.score`), numbers, strings, comparisons (chained, `in`
    a list), and/or/not, + - * /, and length(), contains(), matches(), is_null(), lower(). Nulls
    compare as false. Raises ValueError that names what is wrong.
    """
    found = value(expression, table)
    if not isinstance(found, (pa.Array, pa.ChunkedArray)) or found.type != pa.bool_():
        raise ValueError(f"keep_where: {expression!r} is no condition: it must come out true or false for each record")
    return pc.fill_null(single_chunk(found), False)


def value(expression: str, table: pa.Table) -> Any:
    """What an expression comes to: an array, or a plain value when it names no column. Raises ValueError."""
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"keep_where: cannot read {expression!r}: {error}") from None
    try:
        return _value(tree, table, expression)
    except (pa.ArrowException, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"keep_where: {expression!r}: {str(error).splitlines()[0]}") from None


def _value(node: ast.AST, table: pa.Table, source: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool)):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _column(ast.unparse(node), table)
    if isinstance(node, ast.BoolOp):
        combine = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
        values = [_value(v, table, source) for v in node.values]
        out = values[0]
        for value in values[1:]:
            out = combine(out, value)
        return out
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        value = _value(node.operand, table, source)
        if isinstance(node.op, ast.Not):
            return pc.invert(value)
        return operator.neg(value) if isinstance(value, (int, float)) else pc.negate(value)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _ARITHMETIC[type(node.op)](_value(node.left, table, source), _value(node.right, table, source))
    if isinstance(node, ast.Compare):
        return _comparison(node, table, source)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise ValueError(f"keep_where: unknown function {node.func.id!r}{nearest(node.func.id, _FUNCTIONS)}")
        try:
            return _FUNCTIONS[node.func.id](*(_value(a, table, source) for a in node.args))
        except (TypeError, pa.ArrowException) as error:
            raise ValueError(f"keep_where: {ast.unparse(node)}: {error}") from None
    raise ValueError(f"keep_where: {type(node).__name__} is not allowed in {source!r}")


def _comparison(node: ast.Compare, table: pa.Table, source: str) -> Any:
    left = _value(node.left, table, source)
    out: Any = None
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(right_node, (ast.List, ast.Tuple, ast.Set)):
                raise ValueError(f"keep_where: `in` needs a list in brackets in {source!r}")
            choices = [_value(e, table, source) for e in right_node.elts]
            result = pc.is_in(left, value_set=pa.array(choices))
            result = pc.invert(result) if isinstance(op, ast.NotIn) else result
            right = left
        elif type(op) in _COMPARE:
            right = _value(right_node, table, source)
            try:
                result = _COMPARE[type(op)](left, right)
            except pa.ArrowException as error:
                raise ValueError(f"keep_where: {ast.unparse(node)}: {error}") from None
        else:
            raise ValueError(f"keep_where: {type(op).__name__} is not allowed in {source!r}")
        out = result if out is None else pc.and_kleene(out, result)
        left = right
    return out


def _column(name: str, table: pa.Table) -> Any:
    if name in table.column_names:
        return table[name]
    if name == "text":
        return text_of(table)
    raise ValueError(f"keep_where: no column {name!r}{nearest(name, table.column_names)}")


@dataclass(frozen=True)
class KeepWhere:
    """Keep the records for which `where` is true, e.g. `length(text) > 200 and source != "forum"`.

    Columns by name, numbers, strings, comparisons, `in`, and / or / not, + - * /, length(), contains(),
    matches(), is_null(), lower(). Nothing is evaluated as code. A null counts as false.
    """

    where: str

    def __call__(self, table: pa.Table) -> Outcome:
        if len(table) == 0:
            return keep_all(table)
        rejected = pc.invert(evaluate(self.where, table))
        detail = pa.repeat(pa.scalar(f"not: {self.where}", pa.large_string()), len(table))
        return split_rejected(table, rejected, stage="keep_where", reason="keep_where", detail=detail)


register(
    StageInfo(name="keep_where", make=KeepWhere, kind="reject", summary=KeepWhere.__doc__ or "", reason="keep_where")
)
