"""Records between two segments, stored by what differs from the file that the segment has read.

Most segments drop records and change few texts. The file of the first segment holds all values; that of a later one
names rows in the file of the segment before, and holds only the values that are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import single_chunk
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.originals import columns_as_read, split_original, with_original
from raylib.storage.store import Store

__all__ = ["Base", "PartFile", "Stored", "to_store"]


_ROWS = "__base"  # batch of the file before in the upper 32 bits, row in the batch in the lower ones
_KNOWN = b"known"  # key of a batch's metadata: which values of each column are those of the file before
_ALL, _SOME, _NONE = "all", "some", "none"


class _Read(Protocol):
    """A batch as pyarrow reads it with its metadata."""

    batch: pa.RecordBatch
    custom_metadata: Mapping[bytes, bytes] | None


@dataclass(frozen=True)
class Base:
    """Where records come from.

    Attributes:
        rows: Where each record lies in the file that the segment has read.
        table: The same records as that file holds them.
    """

    rows: pa.Array
    table: pa.Table

    def take(self, rows: pa.Array) -> Base:
        """Some of the records."""
        return Base(self.rows.take(rows), self.table.take(rows))


@dataclass(frozen=True)
class Stored:
    """A batch of records that a segment left.

    Attributes:
        table: Records in work.
        original: The same records as they were read.
        number: Number of the batch in its file.
    """

    table: pa.Table
    original: pa.Table
    number: int

    @property
    def base(self) -> Base:
        """What the next segment stores differences from."""
        return Base(pa.array(np.arange(len(self.table), dtype=np.int64) + (self.number << 32)), self.table)


def to_store(table: pa.Table, original: pa.Table, base: Base | None) -> tuple[pa.Table, Mapping[bytes, bytes]]:
    """What to store of a batch.

    Args:
        table: Records in work.
        original: The same records as they were read.
        base: Where they come from; None in the first segment.

    Returns:
        The table to write, and the metadata to write with it.
    """
    if base is None:
        return with_original(table, original), {}
    fields, columns = [pa.field(_ROWS, pa.int64())], [base.rows]
    known: dict[str, str] = {}
    for field in table.schema:
        new = single_chunk(table[field.name])
        place = base.table.schema.get_field_index(field.name)
        if place >= 0 and base.table.schema.field(place).type == field.type:
            new, known[field.name] = _what_differs(new, single_chunk(base.table.column(place)))
        fields.append(field)
        columns.append(new)
    schema = pa.schema(fields, metadata=table.schema.metadata)
    return pa.Table.from_arrays(columns, schema=schema), {_KNOWN: orjson.dumps(known)}


def _what_differs(new: pa.Array, old: pa.Array) -> tuple[pa.Array, str]:
    """The values without those that are the same, and whether all or some of them, or none, are left out."""
    if new.equals(old):
        return pa.nulls(len(new), new.type), _ALL
    if not pa.types.is_large_string(new.type) or new.null_count:
        return new, _NONE
    return pc.if_else(pc.fill_null(pc.equal(new, old), False), pa.scalar(None, new.type), new), _SOME


class PartFile:
    """The file of records that a segment left of a shard.

    Args:
        store: Folder of the run.
        phase: The segment.
        shard: The shard.
    """

    def __init__(self, store: Store, phase: Phase, shard: ShardName) -> None:
        self._reader = store.read_arrow(RunFiles.part(phase, shard))
        self._held: Stored | None = None  # the last batch that another file asked for
        self._before: PartFile | None = None
        if _ROWS in self._reader.schema.names:
            self._before = PartFile(store, Phase.segment(phase.number - 1), shard)

    def batches(self) -> Iterator[Stored]:
        """All records; at least one batch, if only an empty one."""
        for number in range(max(self._reader.num_record_batches, 1)):
            yield self._batch(number, None)

    def rows(self, wanted: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
        """Some records in work.

        Args:
            wanted: Their rows in the file, sorted.

        Yields:
            Those of a batch.
        """
        before = 0
        for number in range(self._reader.num_record_batches):
            read: _Read = self._reader.get_batch_with_custom_metadata(number)
            here = wanted[(wanted >= before) & (wanted < before + len(read.batch))] - before
            if len(here):
                yield self._batch(number, pa.array(here), read).table
            before += len(read.batch)

    def _batch(self, number: int, wanted: pa.Array | None, read: _Read | None = None) -> Stored:
        """A batch, or the wanted rows of it; an empty one of a file without records."""
        table, known = self._reader.schema.empty_table(), {}
        if self._reader.num_record_batches:
            read = read or self._reader.get_batch_with_custom_metadata(number)
            table, known = pa.Table.from_batches([read.batch]), _known(read.custom_metadata)
        if wanted is not None:
            table = table.take(wanted)
        if self._before is None:
            return Stored(*split_original(table), number)
        held = self._before.at(single_chunk(table[_ROWS]).to_numpy())
        return Stored(*_restored(table.drop_columns([_ROWS]), known, held), number)

    def at(self, rows: npt.NDArray[np.int64]) -> Stored:
        """Records that another file names.

        Args:
            rows: Where they lie, all in one batch.
        """
        number = int(rows[0] >> 32) if len(rows) else 0
        if self._held is None or self._held.number != number:
            self._held = self._batch(number, None)
        here = rows & 0xFFFFFFFF
        if len(here) == len(self._held.table) and np.array_equal(here, np.arange(len(here))):
            return self._held
        taken = pa.array(here)
        return Stored(self._held.table.take(taken), self._held.original.take(taken), number)


def _known(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    found: dict[str, str] = orjson.loads((metadata or {}).get(_KNOWN, b"{}"))
    return found


def _restored(table: pa.Table, known: Mapping[str, str], held: Stored) -> tuple[pa.Table, pa.Table]:
    """Records in work, and as they were read, with the values that the file before holds."""
    for place, field in enumerate(table.schema):
        how = known.get(field.name, _NONE)
        if how == _NONE:
            continue
        values = single_chunk(held.table[field.name])
        if how == _SOME:
            values = pc.coalesce(single_chunk(table[field.name]), values)
        table = table.set_column(place, field, values)
    beside = table
    for name, column in columns_as_read(held.original):
        beside = beside.append_column(name, column)
    return table, split_original(beside)[1]
