"""Loading a shard: parsed from its input, or as the segment before left it, with verdicts applied."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from raylib.engine.sketches import rows_between

__all__ = ["Counter", "verdicts_of"]


@dataclass
class Counter:
    bytes: int = 0
    consumed: int = 0
    loaded: int = 0


def verdicts_of(verdicts: pa.Table | None, start: int, count: int) -> pa.Table:
    """Verdicts for rows [start, start + count), renumbered from 0; an empty table when there are none."""
    if verdicts is None:
        return pa.table({"row": pa.array([], pa.int32())})
    part = rows_between(verdicts, "row", start, start + count - 1)
    position = pc.subtract(part["row"], pa.scalar(start, pa.int32()))
    return part.set_column(part.column_names.index("row"), "row", position).combine_chunks()
