"""How much the dictionaries of a Parquet file may unfold to, known before any row is decoded."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["dictionary_bytes"]

_HEADER = 64  # bytes that hold the header of a dictionary's page
_I32, _STRUCT = 5, 12
_DICTIONARY_PAGE, _DICTIONARY_HEADER = 2, 7
_MATTERS = 1 << 16  # smaller values are not looked for
_LOOKED_AT = 16 << 20  # bytes of the largest dictionary whose values are looked at


class _Page(NamedTuple):
    """A page by its header.

    Attributes:
        size: Number of bytes once it is decompressed.
        stored: Number of bytes in the file.
        begin: Where its data begins, counted from the beginning of the header.
    """

    size: int
    stored: int
    begin: int


def dictionary_bytes(stream: pa.NativeFile, group: pq.RowGroupMetaData, schema: pq.ParquetSchema) -> int:
    """The most bytes that a single row of a row group can take from its dictionaries.

    Args:
        stream: The file, open for random access.
        group: The row group.
        schema: Columns of the file.
    """
    total = 0
    for number in range(group.num_columns):
        column = group.column(number)
        if column.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY") and column.has_dictionary_page:
            page = _page(stream.read_at(_HEADER, column.dictionary_page_offset))
            if page is None:
                total += column.total_uncompressed_size
            elif column.physical_type == "BYTE_ARRAY" and not schema.column(number).max_repetition_level:
                total += _longest(stream, column, page)
            else:
                total += page.size
    return total


def _longest(stream: pa.NativeFile, column: pq.ColumnChunkMetaData, page: _Page) -> int:
    """The length of the longest value in a dictionary, if it matters; of a dictionary that is not read, all of it."""
    if not _MATTERS < page.size <= _LOOKED_AT or not 0 < page.stored <= _LOOKED_AT:
        return page.size
    try:
        data = stream.read_at(page.stored, column.dictionary_page_offset + page.begin)
        if column.compression != "UNCOMPRESSED":
            data = pa.Codec(column.compression.lower()).decompress(data, page.size).to_pybytes()
    except (OSError, ValueError, NotImplementedError, pa.ArrowException):
        return page.size
    at, longest = 0, _MATTERS
    while len(data) - at > longest:  # what is left cannot hold a longer one otherwise
        length = int.from_bytes(data[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return min(longest, page.size)


def _page(header: bytes) -> _Page | None:
    """What the header of a dictionary's page says; None if this is none.

    It is a structure in Thrift's compact protocol: kind, size, stored size, perhaps a checksum, then what only a
    dictionary has: number of values, encoding, perhaps whether they are sorted.
    """
    kind, place = _field(header, 0)
    size, place = _field(header, place)
    stored, place = _field(header, place)
    if kind != _DICTIONARY_PAGE or size is None or stored is None or size < 0 or stored < 0:
        return None
    number = 3
    if header[place : place + 1] == bytes([1 << 4 | _I32]):
        _, place = _field(header, place)
        number = 4
    if header[place : place + 1] != bytes([(_DICTIONARY_HEADER - number) << 4 | _STRUCT]):
        return _Page(size, 0, 0)
    _, place = _field(header, place + 1)
    _, place = _field(header, place)
    while 0 <= place < len(header) and header[place] >> 4:  # truth values, which have no bytes of their own
        place += 1
    return _Page(size, stored, place + 2) if place > 0 else _Page(size, 0, 0)


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
