"""Python functions as stages of a dataset: `filter` and `map`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import single_chunk
from raylib.stage import Outcome, keep_all, split_rejected

__all__ = ["Filter", "Map"]


@dataclass(frozen=True)
class Filter:
    """A Python condition as a stage: a callable on a table, or an Arrow expression."""

    condition: Any
    label: str

    def __call__(self, table: pa.Table) -> Outcome:
        if len(table) == 0:
            return keep_all(table)
        if isinstance(self.condition, pc.Expression):
            numbered = table.append_column("__position", pa.array(range(len(table)), pa.int64()))
            kept = numbered.filter(self.condition)["__position"]
            mask = pc.is_in(numbered["__position"], value_set=single_chunk(kept))
        else:
            mask = self.condition(table)
        if not isinstance(mask, (pa.Array, pa.ChunkedArray)):
            mask = pa.array(mask, pa.bool_())
        if len(mask) != len(table):
            raise ValueError(f"filter: the condition gave {len(mask)} values for {len(table)} records")
        rejected = pc.invert(pc.fill_null(single_chunk(mask), False))
        detail = pa.repeat(pa.scalar(self.label, pa.large_string()), len(table))
        return split_rejected(table, rejected, stage="filter", reason="filter", detail=detail)


@dataclass(frozen=True)
class Map:
    """A Python function on tables as a stage; it must keep the number of rows."""

    function: Callable[[pa.Table], pa.Table]

    def __call__(self, table: pa.Table) -> Outcome:
        try:
            out = self.function(table)
        except Exception:
            if len(table):
                raise
            return keep_all(table)  # an empty table is only asked which columns would be added
        if len(out) != len(table):
            raise ValueError(f"map: {len(table)} records in, {len(out)} out; use filter to drop records")
        return keep_all(out)
