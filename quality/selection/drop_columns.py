"""Columns that stages add, and that later ones no longer need."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from raylib.errors import StageError, nearest
from raylib.schema import SCHEMAS
from raylib.stage import Outcome, StageInfo, keep_all, register

__all__ = ["DropColumns"]


@dataclass(frozen=True)
class DropColumns:
    """Drop columns that stages added, such as `embedding`, before the records are written.

    A record's own columns (id, text, messages, source, meta ...) cannot be dropped. A name that the table
    does not have is an error.
    """

    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.columns, str):
            object.__setattr__(self, "columns", (self.columns,))
        own = {name for schema in SCHEMAS.values() for name in schema.names}
        for name in self.columns:
            if name in own:
                raise ValueError(f"columns: {name!r} belongs to the record and cannot be dropped")

    def __call__(self, table: pa.Table) -> Outcome:
        for name in self.columns:
            if name not in table.column_names:
                raise StageError(f"drop_columns: no column {name!r}{nearest(name, table.column_names)}")
        return keep_all(table.drop_columns(list(self.columns)))


register(StageInfo(name="drop_columns", make=DropColumns, kind="rewrite", summary=DropColumns.__doc__ or ""))
