"""Whether the rows of a table are what they say: offsets inside their buffers, texts in UTF-8."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from raylib.reading.block import Unreadable
from raylib.reading.damage import Damaged

__all__ = ["checked", "readable_runs"]


def checked(batch: pa.RecordBatch) -> bool:
    """Check a batch before any of its values is looked at, as the offsets of a damaged one point anywhere.

    Args:
        batch: Rows as stored.

    Returns:
        Whether all texts are in UTF-8.

    Raises:
        Damaged: Its offsets, or the places in its dictionaries, are wrong.
    """
    try:
        batch.validate(full=True)
    except (pa.ArrowInvalid, IndexError) as error:
        complaint = str(error)
    else:
        return True
    try:
        for column in batch.columns:
            column.view(_without_texts(column.type)).validate(full=True)
    except (pa.ArrowException, IndexError, ValueError):
        raise Damaged("unreadable_file", f"a damaged batch of rows: {complaint}"[:500]) from None
    return False


def _without_texts(kind: pa.DataType) -> pa.DataType:
    """A type with bytes in place of texts, at any depth."""
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return pa.struct([field.with_type(_without_texts(field.type)) for field in fields])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_without_texts(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_without_texts(kind.value_type)))
    return kind


def readable_runs(part: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch | Unreadable]]:
    """The rows of a batch with texts that are not UTF-8: runs of good ones, and the rejects of the others.

    Args:
        part: A few rows.

    Yields:
        The number of the first row, from 0, with the rows or the reject.
    """
    begin = 0
    for number in range(len(part)):
        error = _complaint(part.slice(number, 1))
        if error is None:
            continue
        if number > begin:
            yield begin, part.slice(begin, number - begin)
        yield number, error
        begin = number + 1
    if begin < len(part):
        yield begin, part.slice(begin)


def _complaint(row: pa.RecordBatch) -> Unreadable | None:
    """What is wrong with the texts of a row."""
    for name, column in zip(row.schema.names, row.columns, strict=True):
        error = _undecodable(column)
        if error is not None:
            return Unreadable("bad_encoding", f"column {name!r} is not utf-8 at byte {error.start}")
    return None


def _undecodable(column: pa.Array) -> UnicodeDecodeError | None:
    try:
        column.to_pylist()
    except UnicodeDecodeError as error:
        return error
    except (ValueError, OverflowError, pa.ArrowException):
        return None  # a date after 9999, which is looked at where the row becomes a record
    return None
