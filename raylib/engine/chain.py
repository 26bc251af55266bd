"""Running the stages of a segment over one batch, with counts and rejects."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.engine.task_log import CurrentStage
from raylib.errors import ShardError
from raylib.report.statistics import ShardStatistics
from raylib.schema import SCHEMAS, single_chunk, text_of
from raylib.stage import Outcome, mark_rejected
from raylib.storage.differences import Base
from raylib.storage.writers import TableWriter

__all__ = ["Batch", "Chain", "Rejects", "StageFunction", "without_rows"]


_ROW = "__row"  # of records in work: their row in the table as it was read
_MARKS = ("stage", "reason", "detail")

StageFunction: TypeAlias = Callable[[pa.Table], Outcome]


@dataclass
class Batch:
    """Records in work, and the same records as they were read.

    Attributes:
        table: Records in work, with a column that points into `original`.
        original: Records as they were read, in their old order, rejected ones included.
        base: Where `original` comes from; None in the first segment.
        copied: Whether a stage added copies of records.
    """

    table: pa.Table
    original: pa.Table
    base: Base | None = None
    copied: bool = False
    _characters: int | None = None

    @classmethod
    def of(cls, table: pa.Table, original: pa.Table, base: Base | None = None) -> Batch:
        """A batch of records that no stage has seen yet."""
        return cls(table.append_column(_ROW, pa.array(np.arange(len(table), dtype=np.int32))), original, base)

    @property
    def characters(self) -> int:
        """Number of characters of all texts in work; counted again only after a change."""
        if self._characters is None:
            self._characters = int(pc.sum(pc.utf8_length(text_of(self.table))).as_py() or 0)
        return self._characters

    @property
    def as_read(self) -> pa.Table:
        """The records that are still in work, as they were read."""
        return self.original if self._is_whole else self.original.take(self.table[_ROW])

    @property
    def base_in_work(self) -> Base | None:
        """Where the records that are still in work come from."""
        return self.base if self.base is None or self._is_whole else self.base.take(single_chunk(self.table[_ROW]))

    @property
    def _is_whole(self) -> bool:
        return len(self.table) == len(self.original) and not self.copied

    def replace(self, table: pa.Table, *, same_texts: bool) -> None:
        """Go on with what a stage made of the records in work."""
        self.table = table
        if not same_texts:
            self._characters = None


def without_rows(table: pa.Table) -> pa.Table:
    """Records in work without the column that points to how they were read."""
    return table.drop_columns([_ROW])


@dataclass(frozen=True)
class Rejects:
    """Rejected records of a shard: counted, sampled and written as they were read.

    Attributes:
        kind: Kind of the records.
        writer: Writes the file.
        statistics: Counters of the shard.
    """

    kind: str
    writer: TableWriter
    statistics: ShardStatistics

    def add(self, table: pa.Table) -> None:
        """Reject records.

        Args:
            table: Original records with `stage`, `reason` and `detail`.
        """
        if len(table):
            table = table.cast(self._empty().schema)
            self.statistics.reject(table)
            self.writer.write(table)

    @property
    def rows(self) -> int:
        """Number of records so far."""
        return self.writer.rows

    def close(self) -> None:
        """Finish the file."""
        self.writer.close(self._empty())

    def _empty(self) -> pa.Table:
        empty = pa.Table.from_pylist([], schema=SCHEMAS[self.kind])
        return mark_rejected(empty, stage="", reason="", detail=pa.array([], pa.large_string()))


@dataclass(frozen=True)
class Chain:
    """Runs stages over the batches of one shard.

    Attributes:
        statistics: Counters of the shard.
        rejects: Where rejected records go.
        current: The stage that runs, for log lines.
    """

    statistics: ShardStatistics
    rejects: Rejects
    current: CurrentStage

    def run(self, label: str, stage: StageFunction, batch: Batch) -> None:
        """Run one stage over a batch, in place.

        Args:
            label: Label of the stage.
            stage: The function that it is.
            batch: Records in work.

        Raises:
            InStage: the stage raised an error, or lost records.
        """
        before = batch.table
        started = time.perf_counter()
        with self.current.running(label):
            outcome = stage(before)
            _check_complete(label, before, outcome)
        seconds = time.perf_counter() - started
        characters = batch.characters
        changed, same_texts = _changes(before, outcome)
        kept = outcome.kept
        batch.replace(kept.combine_chunks() if kept is not before else kept, same_texts=same_texts)
        if outcome.added:
            batch.copied = True
            self.statistics.add({"records_added": outcome.added})
        self.statistics.stage(
            label, before, kept, len(outcome.rejected), seconds, (characters, batch.characters), changed
        )
        if changed:
            self.statistics.decisions.changed(label, before, kept)
        if len(outcome.rejected):
            self.rejects.add(_marked_originals(batch.original, outcome.rejected, label))


def _check_complete(label: str, before: pa.Table, outcome: Outcome) -> None:
    kept, rejected = len(outcome.kept), len(outcome.rejected)
    if kept + rejected != len(before) + outcome.added:
        raise ShardError(f"stage {label}: {len(before)} records in, {kept} kept + {rejected} rejected")


def _changes(before: pa.Table, outcome: Outcome) -> tuple[int, bool]:
    """How many texts a stage rewrote, as far as rows can be compared, and whether all texts are as before."""
    kept = outcome.kept
    if kept is before:
        return 0, True
    if len(kept) != len(before) or outcome.added:
        return 0, False
    old, new = text_of(before), text_of(kept)
    changed = 0 if new is old else int(pc.sum(pc.not_equal(old, new)).as_py() or 0)
    return changed, changed == 0


def _marked_originals(original: pa.Table, rejected: pa.Table, label: str) -> pa.Table:
    """The rejected records as they were read, with the marks of the stage and its label in place of its name."""
    table = original.take(rejected[_ROW])
    for column in _MARKS:
        table = table.append_column(column, rejected[column])
    labels = pa.repeat(pa.scalar(label, pa.string()), len(table))
    return table.set_column(table.column_names.index("stage"), "stage", labels)
