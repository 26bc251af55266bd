"""Rows of Arrow tables as raw records, and the short cut for tables of plain documents."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import RecordError
from raylib.messages import LISTS, MESSAGES, rows_of
from raylib.reading.block import Block
from raylib.schema import SCHEMAS

__all__ = ["Unkept", "plain_documents", "records_of"]


class Unkept(NamedTuple):
    """A row that is no record: the reason that its reject carries, and the detail."""

    reason: str
    detail: str


def records_of(table: pa.Table | None, kind: str) -> list[dict[str, object] | Unkept]:
    """The rows of a table as records of JSON would be: what is null in one is not there, nor what is no number.

    Args:
        table: Rows of a file; None for none.
        kind: Kind that the records become. What documents hold in their fields is left as it is.
    """
    if table is None:
        return []
    rows = _rows(table, kind)
    if kind != "document":
        return [r if isinstance(r, Unkept) else {k: _without_nulls(v) for k, v in r.items() if _there(v)} for r in rows]
    if any(pa.types.is_floating(column.type) for column in table.columns):
        return [r if isinstance(r, Unkept) else {k: v for k, v in r.items() if _there(v)} for r in rows]
    return [r if isinstance(r, Unkept) else {k: v for k, v in r.items() if v is not None} for r in rows]


def _rows(table: pa.Table, kind: str) -> list[dict[str, object] | Unkept]:
    """The rows of a table as Python data."""
    ours = any(name in LISTS and table.schema.field(name).type == MESSAGES for name in table.column_names)
    try:
        if kind != "document" and ours:
            try:
                return list(rows_of(table))
            except RecordError:  # somebody else's columns of our names
                pass
        return list(table.to_pylist())
    except (ValueError, OverflowError, pa.ArrowException):  # a date after 9999, a text that is not UTF-8
        return _rows_one_by_one(table)


def _rows_one_by_one(table: pa.Table) -> list[dict[str, object] | Unkept]:
    """The rows of a table that Python cannot hold as it is."""
    rows: list[dict[str, object] | Unkept] = [{} for _ in range(len(table))]
    for name in table.column_names:
        for number, scalar in enumerate(table[name]):
            row = rows[number]
            if isinstance(row, Unkept):
                continue
            value = _value(scalar, name)
            if isinstance(value, Unkept):
                rows[number] = value
            else:
                row[name] = value
    return rows


def _value(scalar: pa.Scalar, name: str) -> object:
    """A value as Python data; a text where Python has no such value."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return Unkept("bad_encoding", f"column {name!r} is not utf-8 at byte {error.start}")
    except (ValueError, OverflowError, pa.ArrowException) as error:
        complaint = str(error)
    try:
        return scalar.cast(pa.string()).as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return Unkept("bad_field", f"column {name!r} holds a value that cannot be kept: {complaint}")


def _there(value: object) -> bool:
    """Whether a value is neither null nor a float that is no number, as NaN stands for null in pandas."""
    return value is not None and not (type(value) is float and not math.isfinite(value))


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
    if data is not None and data.size and not np.frombuffer(data, np.uint8).min():
        return None  # a NUL
    if pc.any(pc.or_(pc.utf8_is_space(text), pc.equal(pc.binary_length(text), 0))).as_py():
        return None
    return pa.Table.from_arrays(columns, schema=schema)


def _direct_column(column: pa.ChunkedArray, name: str, wanted: pa.DataType) -> pa.Array | None:
    """A column as the schema wants it; None if its type or a missing value does not allow that."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    if not is_text and not (name == "id" and pa.types.is_integer(kind)):
        return None  # record by record: what a number is as a text, or whether it may be one, is decided there
    try:
        cast = (column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()).cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if name == "source":
        return pc.fill_null(cast, "")
    if name == "id" and pc.any(pc.equal(pc.binary_length(cast), 0)).as_py():
        return None
    return None if name != "meta" and cast.null_count else cast


def _missing_column(block: Block, name: str, wanted: pa.DataType, rows: int) -> pa.Array:
    """What stands for a column that a table lacks: `path:line` for ids, empty sources, no meta."""
    if name == "id":
        lines = pa.array(np.char.zfill(np.arange(block.first_line, block.first_line + rows).astype(str), 9))
        return pc.binary_join_element_wise(pa.scalar(block.path), lines, ":")
    return pa.repeat(pa.scalar("", wanted), rows) if name == "source" else pa.nulls(rows, wanted)
