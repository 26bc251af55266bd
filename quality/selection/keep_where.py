"""`keep_where`: an explicit cut by a small, safe expression over columns; nothing is ever evaluated as code."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from quality.selection.expressions import evaluate, parsed
from raylib.stage import Outcome, StageInfo, keep_all, register, split_rejected

__all__ = ["KeepWhere"]


@dataclass(frozen=True)
class KeepWhere:
    """Keep the records for which `where` is true, e.g. `length(text) > 200 and source != "forum"`.

    Columns by name, other fields of the input as `meta.url` or `meta["final score"]`, numbers, strings,
    comparisons, `in`, and / or / not, + - * /, length(), contains(), matches(), is_null(), lower(). Nothing is
    evaluated as code. A null counts as false, and so does a field that a record does not have.
    """

    where: str

    def __post_init__(self) -> None:
        parsed(self.where)

    def __call__(self, table: pa.Table) -> Outcome:
        if len(table) == 0:
            return keep_all(table)
        rejected = pc.invert(evaluate(self.where, table))
        detail = pa.repeat(pa.scalar(f"not: {self.where}", pa.large_string()), len(table))
        return split_rejected(table, rejected, stage="keep_where", reason="keep_where", detail=detail)


register(
    StageInfo(name="keep_where", make=KeepWhere, kind="reject", summary=KeepWhere.__doc__ or "", reason="keep_where")
)
