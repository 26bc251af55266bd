"""Records in work stored beside the same records as they were read, at the cost of what differs.

A record that a later segment rejects is written to the rejects as it was read. Both versions of a text lie side by
side in one column, so that compression finds in the second what the first one holds.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import SCHEMAS, single_chunk

__all__ = ["OF_THE_WORK", "columns_as_read", "split_original", "with_original"]


OF_THE_WORK = ("id", "source", "meta", "category")
"""Columns whose values a rejected record has as they are in work: no stage rewrites what they were read as."""

_ORIGINAL = "__original_"  # of a column that has another type in work, or none; older versions wrote all of them so
_PAIR = "__pair_"


def with_original(table: pa.Table, original: pa.Table) -> pa.Table:
    """Store records as they were read beside the records in work.

    Args:
        table: Records in work.
        original: The same records, in the same order, as they were read.

    Returns:
        The table, in which a column that a stage may have changed holds pairs: the value in work, and the one that was
        read, null where it is the same.
    """
    for name in original.column_names:
        if name in OF_THE_WORK:
            continue
        old = single_chunk(original[name])
        place = table.schema.get_field_index(name)
        if place < 0 or table.schema.field(place).type != old.type:
            table = table.append_column(_ORIGINAL + name, old)
            continue
        new = single_chunk(table[name])
        field = table.schema.field(place)
        pairs = _interleaved(new, _where_changed(old, new))
        table = table.set_column(place, field.with_name(_PAIR + name).with_type(pairs.type), pairs)
    return table


def _where_changed(old: pa.Array, new: pa.Array) -> pa.Array:
    """The old values, null where they are those of the new ones."""
    if old.equals(new):
        return pa.nulls(len(old), old.type)
    if not pa.types.is_large_string(old.type):
        return old
    return pc.if_else(pc.equal(old, new), pa.scalar(None, old.type), old)


def _interleaved(first: pa.Array, second: pa.Array) -> pa.Array:
    """Pairs of the values of two arrays."""
    order = np.arange(2 * len(first), dtype=np.int64).reshape(2, -1).T.ravel()
    return pa.FixedSizeListArray.from_arrays(pa.concat_arrays([first, second]).take(pa.array(order)), 2)


def columns_as_read(original: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    """Names and values under which `split_original` takes columns of records as they were read.

    Args:
        original: Records as they were read.
    """
    return [(_ORIGINAL + name, original[name]) for name in original.column_names if name not in OF_THE_WORK]


def split_original(stored: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Take apart what `with_original` put together.

    Args:
        stored: A table that `with_original` made.

    Returns:
        The records in work, and the same records as they were read.
    """
    table, as_read = stored, {}
    for place, field in enumerate(stored.schema):
        if field.name.startswith(_PAIR):
            name = field.name.removeprefix(_PAIR)
            values = single_chunk(stored[field.name]).flatten()
            new, old = (values.take(pa.array(np.arange(i, len(values), 2))) for i in (0, 1))
            table = table.set_column(place, field.with_name(name).with_type(new.type), new)
            as_read[name] = new if old.null_count == len(old) else pc.coalesce(old, new)
        elif field.name.startswith(_ORIGINAL):
            as_read[field.name.removeprefix(_ORIGINAL)] = single_chunk(stored[field.name])
    table = table.drop_columns([n for n in table.column_names if n.startswith(_ORIGINAL)])
    original = table
    for name, old in as_read.items():
        place = table.schema.get_field_index(name)
        if place < 0:
            original = original.append_column(name, old)
            continue
        new = single_chunk(table[name])
        same_type = pa.types.is_large_string(old.type) and old.type == new.type
        original = original.set_column(place, name, pc.coalesce(old, new) if same_type and old.null_count else old)
    columns = [c for kind in SCHEMAS.values() for c in kind.names]
    original = original.select([c for c in original.column_names if c in columns])
    return table, _in_schema_order(original)


def _in_schema_order(table: pa.Table) -> pa.Table:
    for schema in SCHEMAS.values():
        if set(schema.names) == set(table.column_names):
            return table.select(schema.names)
    return table
