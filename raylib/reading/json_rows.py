"""Records of blocks of JSON lines."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import orjson

from raylib.errors import RecordError
from raylib.exact import has_lost_digits, loads, may_lose_digits, second_opinion
from raylib.reading.block import Block
from raylib.reading.builder import SHOWN, Builder
from raylib.reading.coercion import plain_document

__all__ = ["decoded_line", "feed_json_lines", "first_object"]


def decoded_line(raw: bytes, line: int, block: Block, builder: Builder) -> str | None:
    """The text of a line.

    Args:
        raw: Its bytes.
        line: Its number.
        block: The block that it belongs to.
        builder: Takes the reject of a line that does not decode; then there is no text.
    """
    try:
        return raw.decode(block.encoding)
    except UnicodeDecodeError as error:
        shown = raw[:SHOWN].decode(block.encoding, "replace")
        builder.reject(line, "bad_encoding", f"not {block.encoding} at byte {error.start} of the line", shown)
        return None


def feed_json_lines(block: Block, builder: Builder) -> Iterator[None]:
    """Parse JSON lines into the builder; yields whenever the builder is full."""
    utf8 = block.encoding == "utf-8"
    plain = builder.kind == "document" and not builder.text_fields
    exact = functools.cache(lambda: utf8 and not may_lose_digits(block.data))
    for line, raw in enumerate(block.data.split(b"\n"), block.first_line):
        if not raw or raw.isspace():
            continue
        if not utf8:
            text = decoded_line(raw, line, block, builder)
            if text is None:
                continue
            raw = text.encode("utf-8", "surrogatepass")
        try:
            record = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            _add_refused(raw, line, str(error), builder)
        else:
            if plain and plain_document(record):
                builder.add_plain(record, line)
            elif exact():
                builder.add(record, line, raw)
            else:
                _add(record, raw, line, builder)
        if builder.full():
            yield


def _add(record: object, raw: bytes, line: int, builder: Builder) -> None:
    """Add a record, with the digits that its integers have in the line."""
    try:
        lost = has_lost_digits(record)
    except RecursionError:
        builder.reject(line, "bad_json", "nested too deeply", _shown(raw))
        return
    if lost:
        _add_refused(raw, line, "a number of too many digits", builder)
    else:
        builder.add(record, line, raw)


def _add_refused(raw: bytes, line: int, complaint: str, builder: Builder) -> None:
    """Add or reject a line that orjson refuses; never as a plain document, as it may hold lone surrogates."""
    try:
        record = second_opinion(raw, complaint)
    except RecordError as error:
        builder.reject(line, error.reason, error.detail, _shown(raw))
    else:
        builder.add(record, line, raw)


def _shown(raw: bytes) -> str:
    return raw[: 4 * SHOWN].decode("utf-8", "replace")


def first_object(block: Block) -> dict[str, object] | None:
    """The first object in a block of JSON lines; None if there is none among the first thousand lines."""
    for raw in block.data.split(b"\n", 1000)[:1000]:
        try:
            record = loads(raw.decode(block.encoding))
        except (RecordError, UnicodeDecodeError):
            continue
        if isinstance(record, dict):
            return record
    return None
