"""From blocks to Arrow tables of one record kind, with every unreadable record as a reject."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pyarrow as pa

from raylib.reading.block import Block
from raylib.reading.builder import SHOWN, Builder, Parsed
from raylib.reading.csv_rows import feed_csv, first_row
from raylib.reading.json_rows import decoded_line, feed_json_lines, first_object
from raylib.reading.rows import Unkept, plain_documents, records_of
from raylib.stage import mark_rejected

__all__ = ["Parsed", "first_record", "parse"]

_log = logging.getLogger(__name__)


def parse(block: Block, kind: str, text_fields: tuple[str, ...] = ()) -> Iterator[Parsed]:
    """Tables of the records of a block. Bad records become rejects and never raise.

    Args:
        block: A block of whole records.
        kind: One of `KINDS`.
        text_fields: For documents, the fields that hold the text; if empty, the usual ones are looked for.

    Returns:
        Tables of about 300,000 characters each, in order.
    """
    builder = Builder(kind, block.path, text_fields)
    if block.error is None and block.format == "table" and kind == "document" and not text_fields:
        direct = plain_documents(block)
        if direct is not None:
            empty = mark_rejected(direct.slice(0, 0), stage="read", reason="", detail=pa.nulls(0, pa.large_string()))
            yield Parsed(direct, empty)
            return
    try:
        for _ in _feed(block, builder):
            yield builder.take()
    except Exception as error:  # noqa: BLE001 - a block must not take its neighbours along, whatever is in it
        _log.exception("%s: this is a bug of raylib; please report it", block.path)
        size = f"{len(block.data):,} bytes" if block.table is None else f"{len(block.table):,} rows"
        detail = f"{type(error).__name__}: {error}; of {size} from here on, some were not read"
        builder.reject(block.first_line, "unreadable_file", detail, "")
    if not builder.empty():
        yield builder.take()


def _feed(block: Block, builder: Builder) -> Iterator[None]:
    """Parse a block into the builder; yields whenever the builder is full."""
    if block.error is not None:
        builder.reject(block.first_line, *block.error, block.data.decode(block.encoding, "replace"))
    elif block.format == "table":
        yield from _feed_table(block, builder)
    elif block.format == "document":
        _feed_document(block, builder)
    elif block.format == "jsonl":
        yield from feed_json_lines(block, builder)
    elif block.format in ("csv", "tsv"):
        yield from feed_csv(block, builder)
    else:
        yield from _feed_lines(block, builder)


def _feed_table(block: Block, builder: Builder) -> Iterator[None]:
    """Add the rows of a table; yields whenever the builder is full."""
    for line, record in enumerate(records_of(block.table, builder.kind), block.first_line):
        if isinstance(record, Unkept):
            builder.reject(line, record.reason, record.detail, "")
        else:
            builder.add(record, line)
        if builder.full():
            yield


def _feed_document(block: Block, builder: Builder) -> None:
    """Add a block as one document."""
    try:
        text = block.data.decode(block.encoding)
    except UnicodeDecodeError as error:
        shown = block.data[:SHOWN].decode(block.encoding, "replace")
        builder.reject(block.first_line, "bad_encoding", f"not {block.encoding} at byte {error.start}", shown)
        return
    builder.text_fields = ()
    builder.add({"text": text}, block.first_line, text)


def _feed_lines(block: Block, builder: Builder) -> Iterator[None]:
    """Add each line as a document; yields whenever the builder is full."""
    builder.text_fields = ()
    for line, raw in enumerate(block.data.split(b"\n"), block.first_line):
        text = decoded_line(raw, line, block, builder)
        text = None if text is None else text.removeprefix("\ufeff")
        if text is not None and text.strip():
            builder.add({"text": text.rstrip("\r")}, line, text)
            if builder.full():
                yield


def first_record(block: Block) -> dict[str, object] | None:
    """The first readable raw record of a block, from which the kind of a data set is guessed."""
    if block.error is not None:
        return None
    if block.format == "table":
        table = None if block.table is None else block.table.slice(0, 1)
        return next((row for row in records_of(table, "document") if not isinstance(row, Unkept)), None)
    if block.format in ("csv", "tsv"):
        return first_row(block)
    return first_object(block) if block.format == "jsonl" else {"text": ""}
