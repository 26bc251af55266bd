"""Record kinds, their Arrow schemas, and the texts of a table of records.

Five kinds flow through the engine: documents, conversations, preferences, feedback and safety records.
Anything a record carries beyond its kind's columns goes to `meta` as a JSON string, so that
records with and without extra fields share one schema and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError
from raylib.messages import LISTS, MESSAGES, is_messages

__all__ = ["KINDS", "MESSAGES", "SCHEMAS", "map_texts", "single_chunk", "text_of"]


def _schema(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    """The columns of a kind, between those that every kind has."""
    return pa.schema([("id", pa.string()), *columns, ("source", pa.string()), ("meta", pa.large_string())])


SCHEMAS: dict[str, pa.Schema] = {
    "document": _schema(("text", pa.large_string())),
    "conversation": _schema(("messages", MESSAGES), ("tools", pa.large_string())),
    "preference": _schema(
        ("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES), ("tools", pa.large_string())
    ),
    "feedback": _schema(
        ("prompt", MESSAGES), ("answer", MESSAGES), ("label", pa.bool_()), ("tools", pa.large_string())
    ),
    "safety": _schema(("messages", MESSAGES), ("category", pa.string())),
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
        The text of documents. For other kinds, what all messages say, joined by newlines: reasoning, content, and calls
        of tools as JSON.

    Raises:
        StageError: The table has none of the columns that hold text.
    """
    if "text" in table.column_names:
        return single_chunk(table["text"])
    parts = [_joined(single_chunk(table[name])) for name in LISTS if name in table.column_names]
    if not parts:
        raise StageError(f"no text in columns {table.column_names}; expected 'text', 'messages' or 'prompt'")
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))


def _joined(lists: pa.Array) -> pa.Array:
    """What the messages of each record say, joined by newlines."""
    if not is_messages(lists.type):  # answers of an earlier version are strings
        return pc.fill_null(lists, "")
    contents = pa.LargeListArray.from_arrays(_list_offsets(lists), _said(lists.flatten()))
    return pc.binary_join(contents, pa.scalar("\n", pa.large_string()))


def _said(flat: pa.StructArray) -> pa.Array:
    """What each message says: its reasoning, its content and its calls of tools."""
    parts = [flat.field("content").cast(pa.large_string())]
    names = [f.name for f in flat.type]
    for name in ("reasoning_content", "tool_calls"):
        if name in names and flat.field(name).null_count < len(flat):
            parts.insert(0 if name == "reasoning_content" else len(parts), flat.field(name))
    if len(parts) == 1:
        return pc.fill_null(parts[0], "")
    return pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()), null_handling="skip")


def _list_offsets(array: pa.Array) -> pa.Array:
    """Offsets of a list array, from 0, whatever part of its values it shows; int64."""
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(pc.cast(lengths, pa.int64()))
    return pa.concat_arrays([pa.array([0], pa.int64()), ends])


def map_texts(table: pa.Table, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Table:
    """Apply a rewrite of string arrays to every text of a table: of messages the content and the reasoning.

    What tools are called with is JSON, which no rewrite of texts leaves valid for sure: it stays as it is.

    Args:
        table: Records of any kind.
        rewrite: Function that returns an array of the same length. If it returns the very array that it was given,
            the column is left alone, so that an unchanged table costs nothing.

    Returns:
        The table with the rewritten texts; all other columns are unchanged.
    """
    for name in ("text", *LISTS):
        if name not in table.column_names:
            continue
        old = single_chunk(table[name])
        new = old
        if pa.types.is_large_string(old.type):
            new = rewrite(old)
        elif is_messages(old.type):
            new = _rewritten(old, rewrite)
        if new is not old:
            table = table.set_column(table.column_names.index(name), name, new)
    return table


def _rewritten(lists: pa.Array, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Lists of messages with rewritten texts; the very same lists if nothing changed."""
    flat = lists.flatten()
    names = [f.name for f in flat.type]
    children = {name: flat.field(name) for name in names}
    changed = False
    for name in ("content", "reasoning_content"):
        old = children.get(name)
        if old is None or old.null_count == len(old):
            continue
        missing = old.is_null() if old.null_count else None
        given = pc.fill_null(old, "") if old.null_count else old
        new = rewrite(given)
        if new is not given:
            changed = True
            children[name] = new if missing is None else pc.if_else(missing, pa.scalar(None, new.type), new)
    if not changed:
        return lists
    structs = pa.StructArray.from_arrays(list(children.values()), fields=list(flat.type))
    return pa.ListArray.from_arrays(_list_offsets(lists).cast(pa.int32()), structs, type=lists.type)
