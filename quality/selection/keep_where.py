"""The stage `keep_where`: an explicit cut by a small, safe expression over columns."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from quality.selection.expressions import ExpressionError, evaluate, parsed
from raylib.errors import ParameterError, StageError
from raylib.stage import LocalStage, Outcome, keep_all, split_rejected, stage

__all__ = ["KeepWhere"]


@stage("keep_where", kind="reject", reason="keep_where")
@dataclass(frozen=True)
class KeepWhere(LocalStage):
    """Keep the records for which `where` is true, e.g. `length(text) > 200 and source != "forum"`.

    Columns by name, other fields of the input as `meta.url` or `meta["final score"]`, numbers, strings,
    comparisons, `in`, and / or / not, + - * /, length(), contains(), matches(), is_null(), lower(). Nothing is
    evaluated as code. A null counts as false, and so does a field that a record does not have.

    Attributes:
        where: Condition that a kept record fulfils.

    Raises:
        ParameterError: If the condition cannot be read.
    """

    where: str

    def __post_init__(self) -> None:
        try:
            parsed(self.where)
        except ExpressionError as error:
            raise ParameterError(f"keep_where: {error}") from None

    def __call__(self, table: pa.Table) -> Outcome:
        """Keep the records for which the condition is true."""
        if len(table) == 0:
            return keep_all(table)
        try:
            rejected = pc.invert(evaluate(self.where, table))
        except ExpressionError as error:
            raise StageError(f"keep_where: {error}") from None
        detail = pa.repeat(pa.scalar(f"not: {self.where}", pa.large_string()), len(table))
        return split_rejected(table, rejected, stage="keep_where", reason="keep_where", detail=detail)
