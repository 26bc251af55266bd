"""Verdicts about records: which rows stay, and by which priority."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError
from raylib.schema import single_chunk, text_of

__all__ = ["priority_column", "row_verdicts"]


def priority_column(table: pa.Table, expression: str) -> np.ndarray[Any, Any]:
    """Ranks for one priority expression, float64, smaller wins.

    `longest` or `shortest` text; `-column` or `column` for the highest or lowest value; or
    `source:a,b,c` for the order of sources (others last). Nulls come last.
    """
    if expression in ("longest", "shortest"):
        lengths = pc.utf8_length(text_of(table)).to_numpy(zero_copy_only=False).astype(np.float64)
        return -lengths if expression == "longest" else lengths
    if expression.startswith("source:"):
        order = {name: i for i, name in enumerate(expression[7:].split(","))}
        return np.array([order.get(s, len(order)) for s in table["source"].to_pylist()], np.float64)
    name = expression.removeprefix("-")
    if name not in table.column_names:
        raise StageError(
            f"priority {expression!r}: no column {name!r}; use longest, shortest, source:a,b or one of {table.column_names}"
        )
    values = pc.fill_null(single_chunk(table[name]).cast(pa.float64()), np.inf if name == expression else -np.inf)
    numbers = values.to_numpy(zero_copy_only=False)
    return numbers if name == expression else -numbers


def row_verdicts(table: pa.Table, verdicts: pa.Table) -> np.ndarray[Any, Any]:
    """For each row of `table` the index of its verdict, or -1. Verdict rows refer to positions in the table."""
    index = np.full(len(table), -1, np.int64)
    index[verdicts["row"].to_numpy()] = np.arange(len(verdicts))
    return index
