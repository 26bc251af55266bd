"""A stage that is a chain for each genre: what `clean: auto` runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError
from raylib.recipe.stages import made_stage, split_stage
from raylib.stage import LocalStage, Outcome, stage
from raylib.stage.outcome import keep_all
from raylib.stage.per_source import routed

__all__ = ["NAME", "ByGenre"]

NAME = "clean_by_genre"


@stage(NAME, kind="cut")
@dataclass(frozen=True, kw_only=True)
class ByGenre(LocalStage):
    """Clean each record by the chain of its genre, which the column `genre` names; `clean: auto` writes this stage.

    Rejects show the reason of the rule that rejected them. A genre without a chain has that of `web`.

    Attributes:
        chains: Local stages by genre, each as in a recipe: `{law: [{length: {min: 100}}], ...}`.
    """

    chains: dict[str, list[dict[str, dict[str, object]]]]

    @functools.cached_property
    def _stages(self) -> Mapping[str, list[LocalStage]]:
        out: dict[str, list[LocalStage]] = {}
        for genre, items in self.chains.items():
            named = [cast("tuple[str, dict[str, object]]", split_stage(item)) for item in items]
            out[genre] = [cast("LocalStage", made_stage(name, parameters)) for name, parameters in named]
        return out

    @property
    def _all(self) -> Iterator[LocalStage]:
        return (one for stages in self._stages.values() for one in stages)

    def check(self) -> None:
        """Let all stages look for mistakes."""
        for one in self._all:
            one.check()

    def probes(self) -> Mapping[str, Callable[[], None]]:
        """The requests of all stages.

        Returns:
            A function by what it asks.
        """
        return {name: ask for one in self._all for name, ask in one.probes().items()}

    def setup(self) -> None:
        """Let all stages load what they need."""
        for one in self._all:
            one.setup()

    def identity(self) -> object:
        """What the stages say.

        Returns:
            Their identities, in order; None if none of them says anything.
        """
        found = [one.identity() for one in self._all]
        return None if found == [None] * len(found) else found

    def __call__(self, table: pa.Table) -> Outcome:
        """Let each record pass through the chain of its genre; records keep their order.

        Returns:
            Kept records, and rejected ones with the reason of the rule.

        Raises:
            StageError: There is no column `genre`, because no stage `genre` came before.
        """
        if "genre" not in table.column_names:
            raise StageError("clean_by_genre needs the column 'genre': put the stage `genre` before it")
        genre = pc.fill_null(table["genre"], "web").to_numpy(zero_copy_only=False)
        rows = {name: np.flatnonzero(genre == name) for name in self._stages if name != "web"}
        rows["web"] = np.flatnonzero(~np.isin(genre, list(rows)))
        parts = [(functools.partial(self._run, name), at) for name, at in rows.items() if len(at)]
        outcome = routed(table, parts) if parts else keep_all(table)
        return Outcome(self._with_all_columns(outcome.kept, table), outcome.rejected)

    def _run(self, genre: str, table: pa.Table) -> Outcome:
        """What the chain of one genre makes of its records."""
        rejected: list[pa.Table] = []
        kept = table
        for one in self._stages.get(genre, []):
            outcome = one(kept)
            kept = outcome.kept
            rejected.append(outcome.rejected)
        if not rejected:
            return keep_all(table)
        return Outcome(kept, pa.concat_tables(rejected, promote_options="default"))

    def _with_all_columns(self, kept: pa.Table, table: pa.Table) -> pa.Table:
        """The records with the columns of all chains, so that every batch has the same ones."""
        added = self._added(table.schema.remove_metadata())
        for name, kind in added.items():
            if name not in kept.column_names:
                kept = kept.append_column(name, pa.nulls(len(kept), kind))
        return kept.select([*table.column_names, *added])

    def _added(self, schema: pa.Schema) -> dict[str, pa.DataType]:
        """Types of the columns that the chains add, by name; found once for each schema."""
        if schema not in self._columns:
            self._columns[schema] = self._found(schema)
        return self._columns[schema]

    @functools.cached_property
    def _columns(self) -> dict[pa.Schema, dict[str, pa.DataType]]:
        return {}

    def _found(self, schema: pa.Schema) -> dict[str, pa.DataType]:
        empty = schema.empty_table()
        out: dict[str, pa.DataType] = {}
        for genre in sorted(self._stages):
            after = self._run(genre, empty).kept.schema
            out |= {name: after.field(name).type for name in after.names if name not in schema.names}
        return dict(sorted(out.items()))
