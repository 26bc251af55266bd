"""JSON arrays: one record per item, read without loading the array."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import ijson
import orjson

from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.decoding import Pushback

__all__ = ["array_blocks"]


_SMALL_JSON = 32 << 20


def array_blocks(path: str, source: Pushback, options: ReadOptions) -> Iterator[Block]:
    """A JSON array as blocks of JSON lines, so that only one parser has to know records."""
    held: list[bytes] = []
    size, number, first = 0, 1, 1
    error: Unreadable | None = None
    for item in _array_items(source):
        if isinstance(item, Unreadable):
            error = item
            break
        held.append(item)
        size += len(item) + 1
        number += 1
        if size >= options.block_bytes:
            yield Block(path, "jsonl", first, b"\n".join(held))
            held, size, first = [], 0, number
    if held:
        yield Block(path, "jsonl", first, b"\n".join(held))
    if error is not None:
        yield Block(path, "jsonl", number, error=error)


def _array_items(source: Pushback) -> Iterator[bytes | Unreadable]:
    """The items of an array as JSON; after the first error, the error and nothing else."""
    chunks = source.chunks()
    head: list[bytes] = []
    total = 0
    for data in chunks:
        head.append(data)
        total += len(data)
        if total > _SMALL_JSON:
            break
    else:
        try:
            whole = b"".join(head)
            items = orjson.loads(whole if source.encoding == "utf-8" else whole.decode(source.encoding).encode())
        except (orjson.JSONDecodeError, UnicodeDecodeError):
            pass  # read item by item, up to the error
        else:
            yield from map(orjson.dumps, items)
            return
    yield from _streamed_items(_ChunkFile(head, chunks, source.encoding))


class _ChunkFile:
    """The file interface that ijson expects, over chunks of bytes."""

    def __init__(self, head: list[bytes], chunks: Iterator[bytes], encoding: str) -> None:
        self._head, self._chunks = iter(head), chunks
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)("replace")

    def read(self, size: int = -1) -> bytes:
        """The next chunk as UTF-8, whatever its size."""
        if size == 0:  # ijson asks once, to learn whether this gives bytes
            return b""
        data = next(self._head, None)
        if data is None:
            data = next(self._chunks, b"")
        if not data or self._decoder is None:
            return data
        return self._decoder.decode(data).encode("utf-8", "replace")


def _streamed_items(file: _ChunkFile) -> Iterator[bytes | Unreadable]:
    """The items of a large or damaged array, one by one."""
    try:
        for item in ijson.items(file, "item", use_float=True):
            yield orjson.dumps(item, default=str)
    except (ijson.JSONError, UnicodeDecodeError, TypeError, ValueError) as error:
        cut = "ncomplete" in str(error) or "premature" in str(error)
        yield Unreadable("truncated_file" if cut else "bad_json", f"JSON array: {error}"[:500])
