"""Record kinds, their Arrow schemas, and the texts of a table of records.

Four kinds flow through the engine: documents, conversations, preferences and safety records.
Anything a record carries beyond its kind's columns goes to `meta` as a JSON string, so that
records with and without extra fields share one schema and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError

__all__ = ["KINDS", "MESSAGES", "SCHEMAS", "map_texts", "single_chunk", "text_of"]

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))

SCHEMAS: dict[str, pa.Schema] = {
    "document": pa.schema(
        [("id", pa.string()), ("text", pa.large_string()), ("source", pa.string()), ("meta", pa.large_string())]
    ),
    "conversation": pa.schema(
        [("id", pa.string()), ("messages", MESSAGES), ("source", pa.string()), ("meta", pa.large_string())]
    ),
    "preference": pa.schema(
        [
            ("id", pa.string()),
            ("prompt", MESSAGES),
            ("chosen", pa.large_string()),
            ("rejected", pa.large_string()),
            ("source", pa.string()),
            ("meta", pa.large_string()),
        ]
    ),
    "safety": pa.schema(
        [
            ("id", pa.string()),
            ("messages", MESSAGES),
            ("category", pa.string()),
            ("source", pa.string()),
            ("meta", pa.large_string()),
        ]
    ),
}
KINDS = tuple(SCHEMAS)


def single_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Make a column contiguous.

    Args:
        column: A column in any number of chunks.

    Returns:
        One array; without a copy if the column already is one.
    """
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def text_of(table: pa.Table) -> pa.Array:
    """All text of each record as one string.

    Args:
        table: Records of any kind.

    Returns:
        The text of documents. For other kinds, the contents of all messages and answers, joined by newlines.

    Raises:
        StageError: The table has none of the columns that hold text.
    """
    if "text" in table.column_names:
        return single_chunk(table["text"])
    parts = []
    for name in ("messages", "prompt"):
        if name in table.column_names:
            messages = single_chunk(table[name])
            contents = pa.LargeListArray.from_arrays(_list_offsets(messages), messages.flatten().field("content"))
            parts.append(pc.binary_join(contents, pa.scalar("\n", pa.large_string())))
    parts += [single_chunk(table[name]) for name in ("chosen", "rejected") if name in table.column_names]
    if not parts:
        raise StageError(f"no text in columns {table.column_names}; expected 'text', 'messages' or 'prompt'")
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))


def _list_offsets(array: pa.Array) -> pa.Array:
    """Offsets of a list array, from 0, whatever part of its values it shows; int64."""
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(pc.cast(lengths, pa.int64()))
    return pa.concat_arrays([pa.array([0], pa.int64()), ends])


def map_texts(table: pa.Table, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Table:
    """Apply a rewrite of string arrays to every text of a table, message contents included.

    Args:
        table: Records of any kind.
        rewrite: Function that returns an array of the same length. If it returns the very array that it was given,
            the column is left alone, so that an unchanged table costs nothing.

    Returns:
        The table with the rewritten texts; all other columns are unchanged.
    """
    for name in ("text", "chosen", "rejected"):
        if name in table.column_names and pa.types.is_large_string(table.schema.field(name).type):
            old = single_chunk(table[name])
            new = rewrite(old)
            if new is not old:
                table = table.set_column(table.column_names.index(name), name, new)
    for name in ("messages", "prompt"):
        if name in table.column_names:
            lists = single_chunk(table[name])
            flat = lists.flatten()
            old = flat.field("content")
            new = rewrite(old)
            if new is not old:
                structs = pa.StructArray.from_arrays([flat.field("role"), new], names=["role", "content"])
                offsets = _list_offsets(lists).cast(pa.int32())
                table = table.set_column(
                    table.column_names.index(name), name, pa.ListArray.from_arrays(offsets, structs)
                )
    return table
