"""How many bytes each row of a table unfolds to, so that tables are cut by bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["cuts", "is_flat", "row_sizes"]

_Sizes = NDArray[np.int64]


def is_flat(schema: pa.Schema) -> bool:
    """Whether the rows of a table unfold to no more than the table itself takes: there are no dictionaries in it.

    Args:
        schema: Columns of the table.
    """
    return all(_is_text(field.type) or pa.types.is_primitive(field.type) for field in schema)


def row_sizes(batch: pa.RecordBatch) -> _Sizes:
    """Bytes of each row; a value of a dictionary counts each time that it occurs.

    Args:
        batch: Rows of a table that is known to be valid.
    """
    total = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        total += _sizes(column)
    return total


def _sizes(array: pa.Array) -> _Sizes:
    """Bytes of each value."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        places = np.asarray(pc.fill_null(array.indices, 0).cast(pa.int64()))
        values = _sizes(array.dictionary)
        found = values[places] if len(values) else np.zeros(len(array), np.int64)
        return np.where(np.asarray(array.indices.is_valid()), found, 0)
    if _is_text(kind):
        lengths = pc.fill_null(pc.binary_length(array), 0)
        return np.asarray(lengths.cast(pa.int64()))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        return _of_lists(array)
    if pa.types.is_struct(kind):
        total = np.zeros(len(array), np.int64)
        for number in range(kind.num_fields):
            total += _sizes(array.field(number))
        return total
    if pa.types.is_run_end_encoded(kind):
        sizes = pa.RunEndEncodedArray.from_arrays(array.run_ends, pa.array(_sizes(array.values)))
        return np.asarray(pc.run_end_decode(sizes))[: len(array)]
    return np.full(len(array), array.nbytes // max(len(array), 1), np.int64)


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _of_lists(array: pa.Array) -> _Sizes:
    """Bytes of each list."""
    if pa.types.is_map(array.type):
        entries = (
            pa.ListArray.from_arrays(array.offsets, array.keys),
            pa.ListArray.from_arrays(array.offsets, array.items),
        )
        return _of_lists(entries[0]) + _of_lists(entries[1])
    ends = np.cumsum(_sizes(array.flatten()), dtype=np.int64)
    counts = np.cumsum(np.asarray(pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())))
    through = np.concatenate([[0], ends])[counts]
    sizes: _Sizes = np.diff(through, prepend=0).astype(np.int64)
    return sizes


def cuts(sizes: _Sizes, most_bytes: int, most_rows: int) -> list[int]:
    """Numbers of the rows at which to cut a table, from 0 to its length.

    Args:
        sizes: Bytes of each row.
        most_bytes: Size of a part in bytes; a part of one row may be larger.
        most_rows: Largest number of rows of a part.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    found = [0]
    while found[-1] < len(sizes):
        begin = found[-1]
        before = int(ends[begin - 1]) if begin else 0
        end = int(np.searchsorted(ends, before + most_bytes, "right"))
        found.append(max(begin + 1, min(end, begin + most_rows)))
    return found
