"""JSON arrays: one record an item, read without loading the array."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import orjson

from raylib.reading.block import Block, ReadOptions
from raylib.reading.decoding import Pushback

__all__ = ["array_blocks"]


_SMALL_JSON = 32 << 20


def array_blocks(path: str, source: Pushback, options: ReadOptions) -> Iterator[Block]:
    """A JSON array becomes JSON lines, so that only one parser has to know records."""
    held: list[bytes] = []
    size, number, first = 0, 1, 1
    error: tuple[str, str] | None = None
    for item in _array_items(source):
        if isinstance(item, tuple):
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


def _array_items(source: Pushback) -> Iterator[bytes | tuple[str, str]]:
    import ijson

    encoding = source.encoding
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
            text = whole if encoding == "utf-8" else whole.decode(encoding).encode()
            for item in orjson.loads(text):
                yield orjson.dumps(item)
            return
        except (orjson.JSONDecodeError, UnicodeDecodeError):
            pass  # read item by item, up to the error
    decoder = codecs.getincrementaldecoder(encoding)("replace")

    class Reader:
        """The file interface that ijson wants, over the chunks."""

        rest = iter(head)

        def read(self, size: int = -1) -> bytes:
            if size == 0:  # asked once, to learn whether this gives bytes
                return b""
            data = next(self.rest, None)
            if data is None:
                data = next(chunks, b"")
            if not data:
                return b""
            return data if encoding == "utf-8" else decoder.decode(data).encode("utf-8", "replace")

    try:
        for item in ijson.items(Reader(), "item", use_float=True):
            yield orjson.dumps(item, default=str)
    except (ijson.JSONError, UnicodeDecodeError, TypeError, ValueError) as error:
        reason = "truncated_file" if "ncomplete" in str(error) or "premature" in str(error) else "bad_json"
        yield reason, f"JSON array: {error}"[:500]
