"""Where the batches of an Arrow file or stream lie, and how large they become, known before any of them is decoded.

pyarrow decodes a whole batch at once, however much it unfolds to, and takes a stream that is cut between two batches
for one that ends. So the frames of the format are read here: https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from raylib.reading.damage import Damaged

__all__ = ["Frame", "Layout", "layout_of"]

_MAGIC = b"ARROW1"
_CONTINUES = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_LARGEST_METADATA = 256 << 20


class Frame(NamedTuple):
    """A batch of rows.

    Attributes:
        rows: Number of rows.
        decoded: Size in bytes once it is decompressed, with the dictionaries that come before it.
        stored: Size in bytes as stored.
    """

    rows: int
    decoded: int
    stored: int


@dataclass
class Layout:
    """The batches of a file or stream.

    Attributes:
        frames: The batches, in order.
        indexed: Whether the file has an index, by which any batch can be read.
        begin: Byte at which its stream of batches begins.
        place: Byte up to which it is whole.
        whole: Whether it has an end.
    """

    frames: list[Frame]
    indexed: bool
    begin: int
    place: int
    whole: bool


def layout_of(stream: pa.NativeFile) -> Layout:
    """Read where the batches lie.

    Args:
        stream: The file, open for random access.

    Raises:
        Damaged: This is neither an Arrow file nor a stream.
    """
    size = stream.size()
    begin = 8 if stream.read_at(8, 0).startswith(_MAGIC) else 0
    if begin:
        try:
            indexed = _by_index(stream, size)
        except (struct.error, IndexError, ValueError):
            indexed = None
        if indexed is not None:
            return Layout(indexed, True, begin, size, True)
    frames, place, whole = _by_walking(stream, begin, size)
    return Layout(frames, False, begin, place, whole and not begin)


def _by_index(stream: pa.NativeFile, size: int) -> list[Frame] | None:
    """The batches of a file by the index at its end; None if there is no index."""
    tail = stream.read_at(10, max(0, size - 10))
    if tail[4:] != _MAGIC:
        return None
    length = struct.unpack("<i", tail[:4])[0]
    if not 0 < length <= size - 10:
        return None
    footer = _Buffer(stream.read_at(length, size - 10 - length))
    root = footer.root()
    dictionaries = sum(_frame(stream, *block).decoded for block in footer.blocks(root, 2))
    frames = [_frame(stream, *block) for block in footer.blocks(root, 3)]
    if frames and dictionaries:
        frames[0] = frames[0]._replace(decoded=frames[0].decoded + dictionaries)
    return frames


def _by_walking(stream: pa.NativeFile, place: int, size: int) -> tuple[list[Frame], int, bool]:
    """The batches of a stream, the byte up to which it is whole, and whether it has an end."""
    frames: list[Frame] = []
    carried, begin = 0, place
    while (lengths := _lengths(stream, place)) is not None:
        prefix, length = lengths
        if length == 0 and place > begin:
            return frames, place + prefix, True
        try:
            kind, frame, body = _message(stream, place, prefix + length, size)
        except (struct.error, IndexError, ValueError):
            kind, frame, body = 0, Frame(0, 0, 0), size
        if place == begin and kind != _SCHEMA:
            raise Damaged("unreadable_file", "this is neither an Arrow file nor an Arrow stream")
        if place + prefix + length + body > size:
            break
        place += prefix + length + body
        if kind == _BATCH:
            frames.append(frame._replace(decoded=frame.decoded + carried))
            carried = 0
        elif kind == _DICTIONARY:
            carried += frame.decoded
    return frames, place, False


def _lengths(stream: pa.NativeFile, place: int) -> tuple[int, int] | None:
    """The lengths of what stands before the metadata of the next message, and of the metadata; None at the end."""
    head = stream.read_at(8, place)
    if head[:4] == _CONTINUES:
        return (8, struct.unpack("<I", head[4:])[0]) if len(head) == 8 else None
    return (4, struct.unpack("<I", head[:4])[0]) if len(head) >= 4 else None  # of streams before Arrow 0.15


def _frame(stream: pa.NativeFile, offset: int, metadata: int, _: int) -> Frame:
    return _message(stream, offset, metadata, stream.size())[1]


def _message(stream: pa.NativeFile, offset: int, length: int, size: int) -> tuple[int, Frame, int]:
    """The kind of a message, what it holds, and the length of its body."""
    if length > min(size - offset, _LARGEST_METADATA):
        raise ValueError("a message longer than its file")
    data = stream.read_at(length, offset)
    message = _Buffer(data[8:] if data[:4] == _CONTINUES else data[4:])
    root = message.root()
    kind = message.number(root, 1, "<B")
    body = message.number(root, 3, "<q")
    if body < 0:
        raise ValueError("a body of negative length")
    if kind not in (_DICTIONARY, _BATCH):
        return kind, Frame(0, 0, 0), body
    batch = message.table(root, 2)
    if kind == _DICTIONARY:
        batch = message.table(batch, 1)
    rows = message.number(batch, 0, "<q")
    stored = length + body
    if not message.field(batch, 3):
        return kind, Frame(rows, body, stored), body
    decoded = 0
    for at, taken in message.pairs(batch, 2):
        if taken >= 8 and 0 <= at <= body:  # each compressed buffer begins with its size; -1: it is not compressed
            unfolded = struct.unpack("<q", stream.read_at(8, offset + length + at))[0]
            decoded += taken if unfolded < 0 else unfolded
    return kind, Frame(rows, decoded, stored), body


class _Buffer:
    """A flatbuffer, as Arrow stores its metadata in: tables whose fields are found by their number."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def _at(self, shape: str, place: int) -> int:
        if place < 0:
            raise ValueError("a place before the beginning")
        value: int = struct.unpack_from(shape, self._data, place)[0]
        return value

    def root(self) -> int:
        """Place of the outermost table."""
        return self._at("<I", 0)

    def field(self, table: int, number: int) -> int:
        """Place of a field; 0 if the table lacks it."""
        names = table - self._at("<i", table)
        slot = 4 + 2 * number
        if slot >= self._at("<H", names):
            return 0
        offset = self._at("<H", names + slot)
        return table + offset if offset else 0

    def number(self, table: int, number: int, shape: str) -> int:
        """A field that is a number; 0 if the table lacks it."""
        place = self.field(table, number)
        return self._at(shape, place) if place else 0

    def table(self, table: int, number: int) -> int:
        """Place of the table in a field."""
        place = self.field(table, number)
        if not place:
            raise ValueError("a message without a content")
        return place + self._at("<I", place)

    def _vector(self, table: int, number: int, width: int) -> tuple[int, int]:
        place = self.field(table, number)
        if not place:
            return 0, 0
        place += self._at("<I", place)
        count = self._at("<I", place)
        if count * width > len(self._data):
            raise ValueError("a list longer than its message")
        return place + 4, count

    def pairs(self, table: int, number: int) -> list[tuple[int, int]]:
        """A field that is a list of two numbers each: offset and length of buffers."""
        place, count = self._vector(table, number, 16)
        return [struct.unpack_from("<qq", self._data, place + 16 * i) for i in range(count)]

    def blocks(self, table: int, number: int) -> list[tuple[int, int, int]]:
        """A field that is a list of blocks: offset, length of the metadata, length of the body."""
        place, count = self._vector(table, number, 24)
        return [struct.unpack_from("<qi4xq", self._data, place + 24 * i) for i in range(count)]
