"""Running the stages of a segment over one batch, with counts and rejects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import text_of

__all__ = ["ROW", "Batch", "with_rows"]


ROW = "__row"


@dataclass
class Batch:
    """Records in work and the same records as they were read; `_ROW` of the former points into the latter."""

    table: pa.Table
    original: pa.Table
    _characters: int | None = None
    copied: bool = False

    @property
    def characters(self) -> int:
        """Characters of all texts in work; counted once a change."""
        if self._characters is None:
            self._characters = int(pc.sum(pc.utf8_length(text_of(self.table))).as_py() or 0)
        return self._characters

    def replace(self, table: pa.Table, *, same_texts: bool) -> None:
        self.table = table
        if not same_texts:
            self._characters = None


def with_rows(table: pa.Table) -> pa.Table:
    return table.append_column(ROW, pa.array(np.arange(len(table), dtype=np.int32)))
