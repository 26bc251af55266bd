"""Records in work stored beside the same records as they were read, at the cost of what differs.

A record that a later segment rejects is written to the rejects as it was read.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import SCHEMAS, single_chunk

__all__ = ["split_original", "with_original"]


_ORIGINAL = "__original_"


def with_original(table: pa.Table, original: pa.Table) -> pa.Table:
    """Store records as they were read beside the records in work.

    Args:
        table: Records in work.
        original: The same records, in the same order, as they were read.

    Returns:
        The table with a column for each original one that a stage may have changed: null where a text is unchanged.
    """
    for name in original.column_names:
        if name in ("id", "source", "meta", "category"):
            continue
        old = single_chunk(original[name])
        if pa.types.is_large_string(old.type):
            new = single_chunk(table[name])
            null = pa.scalar(None, old.type)
            old = pa.nulls(len(old), old.type) if old.equals(new) else pc.if_else(pc.equal(old, new), null, old)
        table = table.append_column(_ORIGINAL + name, old)
    return table


def split_original(stored: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Take apart what `with_original` put together.

    Args:
        stored: A table that `with_original` made.

    Returns:
        The records in work, and the same records as they were read.
    """
    table, original = stored, stored
    for name in stored.column_names:
        if not name.startswith(_ORIGINAL):
            continue
        plain = name.removeprefix(_ORIGINAL)
        old = single_chunk(stored[name])
        if pa.types.is_large_string(old.type):
            old = pc.coalesce(old, single_chunk(stored[plain]))
        original = original.set_column(original.column_names.index(plain), plain, old)
        table = table.drop_columns([name])
    columns = [c for kind in SCHEMAS.values() for c in kind.names]
    original = original.select([c for c in original.column_names if c in columns])
    return table, _in_schema_order(original)


def _in_schema_order(table: pa.Table) -> pa.Table:
    for schema in SCHEMAS.values():
        if set(schema.names) == set(table.column_names):
            return table.select(schema.names)
    return table
