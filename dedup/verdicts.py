"""Verdicts about records: which rows stay, and by which priority."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError
from raylib.schema import single_chunk, text_of

__all__ = ["priority_column", "priority_columns", "row_verdicts", "shown_digits", "verdict_places"]


def priority_column(table: pa.Table, expression: str) -> npt.NDArray[np.float64]:
    """Ranks of records for one priority expression; the smaller wins.

    Args:
        table: Records, N of them.
        expression: `longest` or `shortest` for the length of the text; `-column` or `column` for the highest or lowest
            value of a column, nulls last; or `source:a,b,c` for an order of sources, others last.

    Returns:
        Ranks, [N].

    Raises:
        StageError: if there is no such column.
    """
    if expression in ("longest", "shortest"):
        lengths = pc.utf8_length(text_of(table)).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.asarray(-lengths if expression == "longest" else lengths)
    if expression.startswith("source:"):
        order = {name: i for i, name in enumerate(expression[7:].split(","))}
        return np.array([order.get(s, len(order)) for s in table["source"].to_pylist()], np.float64)
    name = expression.removeprefix("-")
    if name not in table.column_names:
        choices = f"longest, shortest, source:a,b or one of {table.column_names}"
        raise StageError(f"priority {expression!r}: no column {name!r}; use {choices}")
    values = pc.fill_null(single_chunk(table[name]).cast(pa.float64()), np.inf if name == expression else -np.inf)
    numbers = values.to_numpy(zero_copy_only=False)
    return np.asarray(numbers if name == expression else -numbers)


def priority_columns(table: pa.Table, expressions: Sequence[str]) -> dict[str, pa.Array]:
    """Columns `priority_0`, `priority_1` ... with the ranks of records for each priority expression.

    Args:
        table: Records, N of them.
        expressions: Priority expressions; see `priority_column`.
    """
    return {f"priority_{i}": pa.array(priority_column(table, e)) for i, e in enumerate(expressions)}


def row_verdicts(table: pa.Table, verdicts: pa.Table) -> npt.NDArray[np.int64]:
    """For each record the position of its verdict, or -1.

    Args:
        table: Records, N of them.
        verdicts: Verdicts, whose column `row` holds positions in the table.

    Returns:
        Positions, [N].
    """
    index = np.full(len(table), -1, np.int64)
    index[verdicts["row"].to_numpy()] = np.arange(len(verdicts))
    return index


def verdict_places(table: pa.Table, verdicts: pa.Table) -> pa.Array:
    """For each record the position of its verdict, or null: the argument of `take` that aligns verdicts with records.

    Args:
        table: Records, N of them.
        verdicts: Verdicts, whose column `row` holds positions in the table.
    """
    index = row_verdicts(table, verdicts)
    return pa.array(np.maximum(index, 0), mask=index < 0)


def shown_digits(threshold: float, least: int) -> int:
    """How many digits of a similarity are shown, so that none at or over the threshold seems to lie under it.

    Args:
        threshold: Least similarity of duplicates.
        least: Number of digits to show at least.
    """
    exponent = Decimal(repr(float(threshold))).normalize().as_tuple().exponent
    return max(least, -int(exponent))
