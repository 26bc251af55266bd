"""How much the dictionaries of a Parquet file may unfold to, known before any row is decoded."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["dictionary_bytes"]

_HEADER = 64  # bytes that hold the first three fields of any page's header
_I32, _DICTIONARY_PAGE = 5, 2


def dictionary_bytes(stream: pa.NativeFile, group: pq.RowGroupMetaData) -> int:
    """Size of the dictionaries of a row group in bytes: the most that a single row of it can take from them.

    Args:
        stream: The file, open for random access.
        group: The row group.
    """
    total = 0
    for number in range(group.num_columns):
        column = group.column(number)
        if column.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY") and column.has_dictionary_page:
            size = _page_size(stream.read_at(_HEADER, column.dictionary_page_offset))
            total += column.total_uncompressed_size if size is None else size
    return total


def _page_size(header: bytes) -> int | None:
    """Size of a dictionary page once it is decompressed, by its header; None if this is none."""
    kind, place = _field(header, 0)
    size, _ = _field(header, place)
    return size if kind == _DICTIONARY_PAGE else None


def _field(header: bytes, place: int) -> tuple[int | None, int]:
    """The 32-bit number in the next field of a structure in Thrift's compact protocol, and the place behind it."""
    if place < 0 or place >= len(header) or header[place] != (1 << 4 | _I32):
        return None, -1
    value = shift = 0
    for at in range(place + 1, min(len(header), place + 6)):
        value |= (header[at] & 0x7F) << shift
        if header[at] < 0x80:
            return (value >> 1) ^ -(value & 1), at + 1
        shift += 7
    return None, -1
