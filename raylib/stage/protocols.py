"""The contract of a stage: what the engine calls on a local and on a global stage, with every optional hook.

A stage is a frozen dataclass whose fields are its configuration. It derives from `LocalStage` or `GlobalStage` and
overrides the hooks it needs; every other hook does nothing. Objects that derive from neither (a function of a
notebook, a class of another package) are accepted too: `raylib.stage.resolving.adapted` gives them the same hooks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa

from raylib.stage.outcome import Outcome
from raylib.stage.rounds import Round, SketchStore
from raylib.stage.section import Section

__all__ = ["Applier", "GlobalStage", "LocalStage", "Notes", "StageHooks"]

Notes: TypeAlias = Mapping[str, object]
"""Small facts that a stage reports: anything that JSON can hold."""

Applier: TypeAlias = Callable[[pa.Table, pa.Table], Outcome]
"""A function of a table and the verdicts about its rows."""


class StageHooks:
    """Hooks of every stage. Each does nothing until a stage overrides it."""

    @property
    def model_based(self) -> bool:
        """Whether the stage loads a model or asks one.

        Such a stage runs in a segment of its own that is committed as soon as it is done, so that no shard is scored
        twice. It runs on a GPU if the cluster has one, and `setup` waits until the first shard arrives.
        """
        return False

    def check(self) -> None:
        """Look for mistakes that can be seen before any work: a missing file, an unknown model.

        Raises:
            ParameterError: if the stage cannot run with its parameters.
        """

    def probes(self) -> Mapping[str, Callable[[], None]]:
        """Small requests that show whether the services answer that the stage asks. Sent when a run begins.

        Returns:
            A function by what it asks (stages that ask the same share it), which raises EndpointError if no answer
            comes. Empty for a stage that asks nobody.
        """
        return {}

    def setup(self) -> None:
        """Load what every shard needs. Called once in each worker, before its first shard."""

    def identity(self) -> object:
        """Whatever determines the output besides the parameters and the files that they name; any JSON value.

        The version of a saved index is an example. A resumed run redoes a stage whose identity has changed.

        Returns:
            A value that JSON can hold; None if parameters and files determine the output.
        """
        return None

    def incidental(self) -> frozenset[str]:
        """Names of parameters that do not determine the output, such as where a cache is and how long to wait.

        Returns:
            The names. A run continues although such a parameter, or the file that it names, has changed.
        """
        return frozenset()

    def notes(self) -> Mapping[str, float] | None:
        """Counters since the last call (tokens, seconds, requests, cost). The report adds them up.

        A counter with the name `failed` is shown as a warning at the end of the run.

        Returns:
            Counters by name, empty if nothing was counted; None if the stage has no counters.
        """
        return None


class LocalStage(StageHooks, ABC):
    """A stage that looks at each record on its own. The engine fuses it with its neighbours in one worker."""

    @abstractmethod
    def __call__(self, table: pa.Table) -> Outcome:
        """Keep or reject each row.

        Args:
            table: Records of one kind, with the columns that earlier stages added. It may have no rows.

        Returns:
            Kept rows in their old order, and the other rows with a reason.

        Raises:
            StageError: if a column that the stage needs is missing. The run stops.
        """

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        """Any class with `__call__` and without `sketch` counts as a local stage."""
        return _defines(other, "__call__") and not _defines(other, "sketch") if cls is LocalStage else NotImplemented


class GlobalStage(StageHooks, ABC):
    """A stage that needs all records: deduplication, clustering, selection.

    The engine calls `sketch` for each batch, shuffles the sketches through `rounds`, and lets the function of
    `applier` decide about each batch with the verdicts of the last round.
    """

    @abstractmethod
    def sketch(self, table: pa.Table) -> pa.Table:
        """Small rows about the records of a table, any number for each record.

        Returns:
            A table with at least `row: int32` (the record's position in `table`) and `key: uint64`. Rows that may
            meet share a key: the engine partitions sketches by ranges of it, sorts them and spills them to disk.
        """

    @abstractmethod
    def rounds(self) -> tuple[Round, ...]:
        """The shuffles, in order. `single_round(function)` makes the only round of a simple stage.

        Returns:
            The rounds, at least one.
        """

    @abstractmethod
    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """The function that turns a table and the verdicts about its rows into an outcome.

        Args:
            shared: Tables of the broadcast rounds, in order.

        Returns:
            The function; it is called for each batch of records.
        """

    def sketch_with_facts(self, table: pa.Table) -> tuple[pa.Table, pa.Table | None]:
        """Sketches, and one row of facts about each record that later rounds can look up by position.

        Signatures and priorities are facts. Override this method when computing both at once is cheaper.

        Returns:
            The table of `sketch`, and a table with one row for each record, or None if there are no facts.
        """
        return self.sketch(table), None

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section | None:
        """The stage's part of the report.

        Args:
            notes: Notes of all tasks of its rounds that gave any.
            store: Sketches, facts and texts of all records.

        Returns:
            The section, or None if the stage has nothing to show.
        """
        return None

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        """A class with `sketch` and either `rounds` or `resolve` counts as a global stage."""
        shuffles = _defines(other, "rounds") or _defines(other, "resolve")
        return _defines(other, "sketch") and shuffles if cls is GlobalStage else NotImplemented


def _defines(other: type, name: str) -> bool:
    return any(name in base.__dict__ for base in other.__mro__)
