"""The stage `against_index`: reject records that a saved MinHash index already holds."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pyarrow as pa

from dedup.index import MinHashIndex
from raylib.paths import PathName
from raylib.schema import text_of
from raylib.stage import LocalStage, Outcome, keep_all, split_rejected, stage

__all__ = ["AgainstIndex"]


@stage("against_index", kind="reject", reason="in_index")
@dataclass(frozen=True)
class AgainstIndex(LocalStage):
    """Reject records that an index holds already, by the estimated Jaccard of their shingles.

    `raylib index build` makes an index, and `raylib index update` extends it. The evidence names the record of the
    index and the similarity.

    Attributes:
        index: Path of the index's folder.
        threshold: Least Jaccard similarity of a duplicate; at least (and by default) the index's own threshold.
    """

    index: PathName
    threshold: float | None = None

    @functools.cached_property
    def _opened(self) -> MinHashIndex:
        """The index, open for as long as this stage lives: one run sees one version."""
        return MinHashIndex(self.index)

    def check(self) -> None:
        """Look whether there is an index.

        Raises:
            ParameterError: if there is none, or if it cannot be used.
        """
        MinHashIndex(self.index)

    def setup(self) -> None:
        """Open the index before the first table."""
        _ = self._opened

    def identity(self) -> int:
        """The version of the index: a run only continues with the index that it began with."""
        return MinHashIndex(self.index).version

    def __call__(self, table: pa.Table) -> Outcome:
        """Reject the records that the index holds."""
        if len(table) == 0:
            return keep_all(table)
        least = self.threshold or 0.0
        details = [
            f"the index holds {m.id}, similarity {m.similarity:.2f}"
            if m is not None and m.similarity >= least
            else None
            for m in self._opened.best(text_of(table))
        ]
        evidence = pa.array(details, pa.large_string())
        return split_rejected(table, evidence.is_valid(), stage="against_index", reason="in_index", detail=evidence)
