"""JSON that is not lines: arrays and objects of any writing, as blocks of JSON lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from raylib.errors import RecordError
from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.decoding import Pushback
from raylib.reading.json_shape import array_inside, unwrapped
from raylib.reading.json_values import Splitter

__all__ = ["value_blocks"]

_NO_RECORDS = 1000  # values without an object among them: this is a file of something else


def value_blocks(path: str, source: Pushback, options: ReadOptions) -> Iterator[Block]:
    """The values of a file as blocks of JSON lines, so that only one parser has to know records.

    Args:
        path: Path that blocks and error messages show.
        source: Bytes of the file.
        options: How to read.
    """
    gathered = _Gathered(path, options.block_bytes)
    try:
        for value in _records(_values(source, options)):
            yield from gathered.add(value)
            if gathered.number > _NO_RECORDS and not gathered.objects:
                error = Unreadable("not_records", f"{_NO_RECORDS:,} values and no object: the rest was not read")
                yield from gathered.refuse(error)
                break
    except RecordError as error:
        yield from gathered.refuse(Unreadable(error.reason, error.detail))
    yield from gathered.take()


class _Gathered:
    """Values until there are enough for a block; each has a number, from 1."""

    def __init__(self, path: str, block_bytes: int) -> None:
        self._path, self._block_bytes = path, block_bytes
        self._held: list[bytes] = []
        self._size, self._first = 0, 1
        self.number = 1
        self.objects = False

    def add(self, value: bytes | Unreadable) -> Iterator[Block]:
        """Add a value; gives a block when there is enough for one."""
        if isinstance(value, Unreadable):
            yield from self.refuse(value)
            return
        if value[:1] == b"{":
            self.objects = True
        # a line end between the parts of a value is a space; inside a string it stays what no string may hold
        self._held.append(value.replace(b"\n", b"\r") if b"\n" in value else value)
        self._size += len(value) + 1
        self.number += 1
        if self._size >= self._block_bytes:
            yield from self.take()

    def refuse(self, error: Unreadable) -> Iterator[Block]:
        """Add a reject."""
        yield from self.take()
        yield Block(self._path, "jsonl", self.number, error=error)
        self.number += 1
        self._first = self.number

    def take(self) -> Iterator[Block]:
        """Everything held, as a block."""
        if self._held:
            yield Block(self._path, "jsonl", self._first, b"\n".join(self._held))
        self._held, self._size, self._first = [], 0, self.number


def _records(values: Iterator[bytes | Unreadable]) -> Iterator[bytes | Unreadable]:
    """The values; of an object that is the only one, what it holds."""
    first = next(values, None)
    if first is None:
        return
    second = next(values, None)
    if second is None and isinstance(first, bytes) and first[:1] == b"{":
        yield from unwrapped(first)
        return
    yield first
    if second is not None:
        yield second
    yield from values


def _values(source: Pushback, options: ReadOptions) -> Iterator[bytes | Unreadable]:
    """The values of a file, in UTF-8."""
    splitter = Splitter(options.max_record_bytes)
    chunks = _in_utf8(source)
    if not source.whole:
        head = next(chunks, b"")
        begin = array_inside(head)
        if begin:
            splitter.open_array(wrapped=True)
        yield from splitter.feed(head[begin:])
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.feed(b"", final=True)


def _in_utf8(source: Pushback) -> Iterator[bytes]:
    """The bytes of a file in UTF-8; those that are not in its encoding stay as they are, and will be refused."""
    if source.encoding == "utf-8":
        yield from source.chunks()
        return
    decoder = codecs.getincrementaldecoder(source.encoding)("surrogateescape")
    for chunk in source.chunks():
        yield decoder.decode(chunk).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")
