"""What a stage returns: kept rows, rejected rows with a reason, and new columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["REJECT_COLUMNS", "Outcome", "keep_all", "mark_rejected", "split_rejected", "with_columns"]


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """A table with new columns at its end.

    Args:
        table: The table, N rows.
        columns: New columns by name, N values each; they take the place of columns with the same names.

    Returns:
        The table with the new columns.
    """
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


REJECT_COLUMNS = ("stage", "reason", "detail")
"""Columns that rejected records have in addition to their own."""


@dataclass(frozen=True)
class Outcome:
    """What a stage did to a table.

    Attributes:
        kept: Surviving rows in their old order; their text may be rewritten, and columns may be added.
        rejected: The other rows as they came in, with the additional columns `stage`, `reason` and `detail`.
        added: Number of rows of `kept` that are copies of others, as up-sampling makes them.
    """

    kept: pa.Table
    rejected: pa.Table
    added: int = 0


def split_rejected(
    table: pa.Table, rejected: pa.Array, *, stage: str, reason: str, detail: pa.Array | None = None
) -> Outcome:
    """Split a table into kept and rejected rows.

    Args:
        table: Records, N of them.
        rejected: Whether each record is rejected, boolean, [N].
        stage: Name of the stage.
        reason: Reason that the rejects show.
        detail: What explains each reject, strings, [N]; by default nothing.

    Returns:
        Kept rows, and rejected rows with the columns of rejects.
    """
    out = table.filter(rejected)
    details = detail.filter(rejected) if detail is not None else pa.nulls(len(out), pa.large_string())
    return Outcome(
        kept=table.filter(pc.invert(rejected)),
        rejected=mark_rejected(out, stage=stage, reason=reason, detail=details),
    )


def mark_rejected(table: pa.Table, *, stage: str, reason: str, detail: pa.Array) -> pa.Table:
    """Append the columns of rejects to a table whose rows are all rejected.

    A column of the same name that an earlier stage added, as `split_stages` adds `stage`, gives way to them: rejects
    are written as they were read.

    Args:
        table: Rejected records, N of them.
        stage: Name of the stage.
        reason: Reason that the rejects show.
        detail: What explains each reject, strings, [N].

    Returns:
        The table with the columns of rejects.
    """
    n = len(table)
    columns = (
        pa.repeat(pa.scalar(stage, pa.string()), n),
        pa.repeat(pa.scalar(reason, pa.string()), n),
        detail.cast(pa.large_string()),
    )
    return with_columns(table, dict(zip(REJECT_COLUMNS, columns, strict=True)))


def keep_all(table: pa.Table) -> Outcome:
    """An outcome that rejects nothing.

    Args:
        table: Records.

    Returns:
        An outcome with an empty table of rejects.
    """
    return Outcome(table, table.slice(0, 0))
