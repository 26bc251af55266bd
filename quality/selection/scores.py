"""The score that a stage chooses by: a column, or arithmetic over columns."""

from __future__ import annotations

import pyarrow as pa

from quality.selection.expressions import ExpressionError, numbers
from raylib.errors import StageError

__all__ = ["scores_by"]


def scores_by(by: str, table: pa.Table, stage: str) -> pa.Array:
    """Evaluate the parameter `by` of a stage.

    Args:
        by: A column, or arithmetic over columns.
        table: N records.
        stage: Name of the stage, for the message.

    Returns:
        N scores, float64; null where a column is null.

    Raises:
        StageError: If it cannot be evaluated over these columns.
    """
    try:
        return numbers(by, table)
    except ExpressionError as error:
        raise StageError(f"{stage}: by: {by!r}: {error}") from None
