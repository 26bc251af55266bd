"""Rows of Arrow tables as raw records, and the short cut for tables of plain documents."""

from __future__ import annotations

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.messages import LISTS, MESSAGES, rows_of
from raylib.reading.block import Block
from raylib.schema import SCHEMAS

__all__ = ["plain_documents", "records_of"]


def records_of(table: pa.Table | None, kind: str) -> list[dict[str, object]]:
    """The rows of a table as records of JSON would be: what is null in one is not there.

    Args:
        table: Rows of a file; None for none.
        kind: Kind that the records become. What documents hold in their fields is left as it is.
    """
    if table is None:
        return []
    if kind == "document":
        return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]
    ours = any(name in LISTS and table.schema.field(name).type == MESSAGES for name in table.column_names)
    try:
        rows = rows_of(table) if ours else table.to_pylist()
    except orjson.JSONDecodeError:  # somebody else's columns of our names
        rows = table.to_pylist()
    return [{k: _without_nulls(v) for k, v in row.items() if v is not None} for row in rows]


def _without_nulls(value: object) -> object:
    """A value without the fields that Arrow fills with null where a record has none, at any depth."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def plain_documents(block: Block) -> pa.Table | None:
    """The table of a block of documents without a flaw, converted without Python.

    Args:
        block: A block of a table.

    Returns:
        The documents; None if a record needs a closer look.
    """
    table, schema = block.table, SCHEMAS["document"]
    if table is None or "text" not in table.column_names or not set(table.column_names) <= set(schema.names):
        return None  # other columns go to meta, record by record
    columns = []
    for name, wanted in zip(schema.names, schema.types, strict=True):
        if name in table.column_names:
            column = _direct_column(table[name], name, wanted)
        else:
            column = _missing_column(block, name, wanted, len(table))
        if column is None:
            return None
        columns.append(column)
    text = columns[schema.get_field_index("text")]
    data = text.buffers()[2]
    if data is not None and memoryview(data).tobytes().find(0) >= 0:
        return None
    if pc.any(pc.or_(pc.utf8_is_space(text), pc.equal(pc.binary_length(text), 0))).as_py():
        return None
    return pa.Table.from_arrays(columns, schema=schema)


def _direct_column(column: pa.ChunkedArray, name: str, wanted: pa.DataType) -> pa.Array | None:
    """A column as the schema wants it; None if its type or a missing value does not allow that."""
    try:
        cast = column.combine_chunks().cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if name == "source":
        return pc.fill_null(cast, "")
    return None if name != "meta" and cast.null_count else cast


def _missing_column(block: Block, name: str, wanted: pa.DataType, rows: int) -> pa.Array:
    """What stands for a column that a table lacks: `path:line` for ids, empty sources, no meta."""
    if name == "id":
        lines = pa.array(np.char.zfill(np.arange(block.first_line, block.first_line + rows).astype(str), 9))
        return pc.binary_join_element_wise(pa.scalar(block.path), lines, ":")
    return pa.repeat(pa.scalar("", wanted), rows) if name == "source" else pa.nulls(rows, wanted)
