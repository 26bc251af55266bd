"""The stage `against_index`: reject records that a saved MinHash index already holds."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from dedup.index import MinHashIndex
from raylib.schema import text_of
from raylib.stage import Outcome, StageInfo, keep_all, register, split_rejected

__all__ = ["AgainstIndex"]


_open: dict[str, MinHashIndex] = {}


@dataclass(frozen=True)
class AgainstIndex:
    """Reject records that an index holds already: estimated Jaccard at least the index's threshold (or `threshold`).

    The index is made and extended by `raylib index build` and `raylib index update`. The evidence names
    the record of the index and the similarity.
    """

    index: str
    threshold: float | None = None

    def setup(self) -> None:
        """Open the index before the first table, anew for each run; raises ValueError when there is none."""
        _open[self.index] = MinHashIndex(self.index)

    def identity(self) -> int:
        """The version of the index: a run is only continued with the index that it began with."""
        return MinHashIndex(self.index).version

    def _opened(self) -> MinHashIndex:
        if self.index not in _open:
            self.setup()
        return _open[self.index]

    def __call__(self, table: pa.Table) -> Outcome:
        if len(table) == 0:
            return keep_all(table)
        least = self.threshold or 0.0
        details = [
            f"the index holds {m.id}, similarity {m.similarity:.2f}"
            if m is not None and m.similarity >= least
            else None
            for m in self._opened().best(text_of(table))
        ]
        evidence = pa.array(details, pa.large_string())
        return split_rejected(table, evidence.is_valid(), stage="against_index", reason="in_index", detail=evidence)


register(
    StageInfo(
        name="against_index",
        make=AgainstIndex,
        kind="reject",
        summary=AgainstIndex.__doc__ or "",
        reason="in_index",
    )
)
