"""The stage `drop_columns`: columns that stages added and later ones do not need."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from raylib.errors import ParameterError, StageError, nearest
from raylib.schema import SCHEMAS
from raylib.stage import LocalStage, Outcome, keep_all, stage

__all__ = ["DropColumns"]

_OWN = "belongs to the record and cannot be dropped"
_LABEL = "label"  # of feedback; for other kinds it is what the stage `classify` adds


@stage("drop_columns", kind="rewrite")
@dataclass(frozen=True)
class DropColumns(LocalStage):
    """Drop columns that stages added, such as `embedding`, before the records are written.

    A record's own columns (id, text, messages, source, meta ...) cannot be dropped. A name that the table
    does not have is an error.

    Attributes:
        columns: Names of the columns to drop.

    Raises:
        ParameterError: If a column belongs to the record.
    """

    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        given: object = self.columns  # recipes may give a single name
        if isinstance(given, str):
            object.__setattr__(self, "columns", (given,))
        own = {name for schema in SCHEMAS.values() for name in schema.names} - {_LABEL}
        for name in self.columns:
            if name in own:
                raise ParameterError(f"columns: {name!r} {_OWN}")

    def __call__(self, table: pa.Table) -> Outcome:
        """Drop the columns. Raises StageError if one is missing, or is the label of feedback."""
        for name in self.columns:
            if name == _LABEL and "answer" in table.column_names:
                raise StageError(f"drop_columns: {name!r} {_OWN}")
            if name not in table.column_names:
                raise StageError(f"drop_columns: no column {name!r}{nearest(name, table.column_names)}")
        return keep_all(table.drop_columns(list(self.columns)))
