"""What a stage returns: kept rows, rejected rows with a reason, and new columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Outcome", "split_rejected", "with_columns"]


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """The table with these columns, in place of those of the same names."""
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


REJECT_COLUMNS = ("stage", "reason", "detail")


@dataclass(frozen=True)
class Outcome:
    """What a stage did to a table.

    `kept` has the surviving rows in their old order, text perhaps rewritten, columns perhaps
    added. `rejected` has the other rows as they came in, plus `stage`, `reason` and `detail`.
    """

    kept: pa.Table
    rejected: pa.Table
    added: int = 0  # rows of `kept` that are copies of others, as up-sampling makes them


def split_rejected(
    table: pa.Table, rejected: pa.Array, *, stage: str, reason: str, detail: pa.Array | None = None
) -> Outcome:
    """Split `table` by the boolean array `rejected`; `detail` (aligned with the table) explains each row."""
    out = table.filter(rejected)
    details = detail.filter(rejected) if detail is not None else pa.nulls(len(out), pa.large_string())
    return Outcome(
        kept=table.filter(pc.invert(rejected)),
        rejected=mark_rejected(out, stage=stage, reason=reason, detail=details),
    )


def mark_rejected(table: pa.Table, *, stage: str, reason: str, detail: pa.Array) -> pa.Table:
    """Append the three reject columns to a table whose rows are all rejected."""
    n = len(table)
    columns = (
        pa.repeat(pa.scalar(stage, pa.string()), n),
        pa.repeat(pa.scalar(reason, pa.string()), n),
        detail.cast(pa.large_string()),
    )
    for name, column in zip(REJECT_COLUMNS, columns, strict=True):
        table = table.append_column(name, column)
    return table


def keep_all(table: pa.Table) -> Outcome:
    """An outcome that rejects nothing."""
    return Outcome(table, table.slice(0, 0))
