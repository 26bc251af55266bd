"""A local stage with other parameters for the records of some sources: `per_source` of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.stage.outcome import Outcome
from raylib.stage.protocols import LocalStage

__all__ = ["PerSource", "routed"]

_PLACE = "__place"  # of a record in the table that came in


@dataclass(frozen=True)
class PerSource(LocalStage):
    """The same stage with several sets of parameters: records go to the one of their source.

    Attributes:
        stage: The stage for all other sources.
        sources: Stages by source.
    """

    stage: LocalStage
    sources: Mapping[str, LocalStage]

    @property
    def _all(self) -> tuple[LocalStage, ...]:
        return (self.stage, *self.sources.values())

    @property
    def model_based(self) -> bool:
        """Whether one of the stages loads a model."""
        return any(stage.model_based for stage in self._all)

    def check(self) -> None:
        """Let all stages look for mistakes."""
        for stage in self._all:
            stage.check()

    def probes(self) -> Mapping[str, Callable[[], None]]:
        """The requests of all stages."""
        return dict(chain.from_iterable(stage.probes().items() for stage in self._all))

    def setup(self) -> None:
        """Let all stages load what they need."""
        for stage in self._all:
            stage.setup()

    def identity(self) -> object:
        """What the stages say, in order; None if none of them says anything."""
        found = [stage.identity() for stage in self._all]
        return None if found == [None] * len(found) else found

    def incidental(self) -> frozenset[str]:
        """Parameters that do not determine the output; they are the same for all stages."""
        return self.stage.incidental()

    def notes(self) -> Mapping[str, float] | None:
        """Counters of all stages, added up."""
        found = [notes for stage in self._all if (notes := stage.notes()) is not None]
        names = dict.fromkeys(name for notes in found for name in notes)
        return {name: sum(notes.get(name, 0) for notes in found) for name in names} if found else None

    def __call__(self, table: pa.Table) -> Outcome:
        """Let each record pass through the stage of its source; records keep their order."""
        parts = [(stage, rows) for stage, rows in self._parts(table) if len(rows)]
        return routed(table, parts) if parts else self.stage(table)

    def _parts(self, table: pa.Table) -> Iterator[tuple[LocalStage, npt.NDArray[np.int64]]]:
        """Each stage with the rows of its sources."""
        source = pc.fill_null(table["source"], "")
        others = np.ones(len(table), np.bool_)
        for name, stage in self.sources.items():
            here = pc.equal(source, name).to_numpy().astype(np.bool_)
            others &= ~here
            yield stage, np.flatnonzero(here)
        yield self.stage, np.flatnonzero(others)


def routed(table: pa.Table, parts: Sequence[tuple[Callable[[pa.Table], Outcome], npt.NDArray[np.int64]]]) -> Outcome:
    """Let parts of a table pass through a stage each.

    Args:
        table: Records, N rows.
        parts: Stages, each with the numbers of its rows; together they are all N.

    Returns:
        What the stages made of the records, in their old order.
    """
    if len(parts) == 1:
        return parts[0][0](table)
    numbered = table.append_column(_PLACE, pa.array(np.arange(len(table), dtype=np.int64)))
    outcomes = [stage(numbered.take(pa.array(rows))) for stage, rows in parts]
    kept = _in_order([outcome.kept for outcome in outcomes])
    return Outcome(kept, _in_order([o.rejected for o in outcomes]), sum(o.added for o in outcomes))


def _in_order(tables: list[pa.Table]) -> pa.Table:
    """The rows of several tables in the order in which they came in; copies stay behind each other."""
    joined = pa.concat_tables(tables, promote_options="default")
    order = np.argsort(joined[_PLACE].to_numpy(), kind="stable")
    return joined.take(pa.array(order)).drop_columns([_PLACE])
