"""Lines and CSV: blocks that end at the border of a record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from raylib.reading.arrays import array_blocks
from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.decoding import Pushback
from raylib.reading.decompression import ByteStream

__all__ = ["split_header", "text_blocks"]


def _dialect(found: str, header: str) -> str:
    """The delimiter of a CSV or TSV file, by its header."""
    if found == "tsv":
        return "\t"
    return max(",;\t|", key=lambda d: (header.count(d), d == ","))


def split_header(data: bytes, encoding: str, found: str) -> tuple[tuple[str, ...], bytes, int]:
    """Split the header off the first block of a CSV or TSV file.

    Args:
        data: First bytes of the file, with at least one whole record.
        encoding: Codec of `data`.
        found: `csv` or `tsv`.

    Returns:
        The delimiter followed by the names of the columns; the rest of the block; the number of lines of the header.
    """
    end = 0
    while True:
        newline = data.find(b"\n", end)
        end = len(data) if newline < 0 else newline + 1
        if newline < 0 or data.count(b'"', 0, end) % 2 == 0:
            break
    text = data[:end].decode(encoding, "replace")
    row = next(csv.reader(io.StringIO(text), delimiter=_dialect(found, text)), [])
    names = tuple(name.strip() for name in row)
    return (_dialect(found, text), *names), data[end:], data.count(b"\n", 0, end)


def text_blocks(path: str, found: str, stream: ByteStream, options: ReadOptions) -> Iterator[Block]:
    """Blocks of a decompressed stream of text.

    Args:
        path: Path that blocks and error messages show.
        found: `jsonl`, `json`, `csv`, `tsv` or `txt`; if empty, the first character decides.
        stream: Decompressed bytes.
        options: How to read.
    """
    source = Pushback(stream, options.encoding, options.block_bytes)
    first = source.head.lstrip()[:1]
    if found == "json":
        found = "array" if first == b"[" else "jsonl"
    if found == "":
        found = "array" if first == b"[" else "jsonl" if first == b"{" else "txt"
    if found == "array":
        yield from array_blocks(path, source, options)
    elif found == "txt" and options.document_per == "file":
        yield from _document_block(path, source, options)
    elif found in ("csv", "tsv"):
        yield from _csv_blocks(path, found, source, options)
    else:
        for data, line, error in _cut_lines(source, options, quoted=False):
            kind = "jsonl" if found == "jsonl" else "lines"
            yield Block(path, kind, line, data, source.encoding, error=error)


def _document_block(path: str, source: Pushback, options: ReadOptions) -> Iterator[Block]:
    """A whole file as one document."""
    parts, total = [], 0
    for data in source.chunks():
        parts.append(data)
        total += len(data)
        if total > options.max_record_bytes:
            error = _too_long("document", total, options)
            yield Block(path, "document", 1, parts[0][:1000], source.encoding, error=error)
            return
    if source.error is None:  # half a document is not a document
        yield Block(path, "document", 1, b"".join(parts), source.encoding)


def _too_long(what: str, size: int, options: ReadOptions) -> Unreadable:
    """The reject of a line or document of at least `size` bytes."""
    limit = options.max_record_bytes >> 20
    detail = f"{what} of over {size >> 20} MiB, the limit is {limit} MiB (input.max_record_mb)"
    return Unreadable(f"{what}_too_long", detail)


def _border(data: bytes | bytearray, start_quote: bool) -> int:
    """Position behind the last newline that ends a record; with quotes, one outside of quoted fields; 0 for none."""
    end = data.rfind(b"\n")
    if not start_quote:
        return end + 1
    inside = data.count(b'"', 0, end + 1) % 2 == 1
    while end >= 0 and inside:
        before = data.rfind(b"\n", 0, end)
        if data.count(b'"', before + 1, end) % 2 == 1:
            inside = not inside
        end = before
    return end + 1


def _cut_lines(
    source: Pushback, options: ReadOptions, *, quoted: bool
) -> Iterator[tuple[bytes, int, Unreadable | None]]:
    """Runs of whole lines (whole records when `quoted`), each with its first line number."""
    held = bytearray()
    line = 1
    skipping = 0  # bytes of an over-long line thrown away so far
    for data in source.chunks():
        if skipping:
            newline = data.find(b"\n")
            if newline < 0:
                skipping += len(data)
                continue
            yield bytes(held), line, _too_long("line", skipping + newline, options)
            held, skipping, line = bytearray(), 0, line + 1
            data = data[newline + 1 :]
        held += data
        if len(held) < options.block_bytes:
            continue
        border = _border(held, quoted)
        if border == 0 and len(held) > options.max_record_bytes:
            if quoted and (first := held.find(b"\n")) >= 0:
                border = first + 1  # a stray quote, not a record of this size: read line by line from here
            else:
                skipping = len(held)
                held = held[:1000]
                continue
        if border:
            block = bytes(held[:border])
            yield block, line, None
            line += block.count(b"\n")
            held = held[border:]
    if skipping:
        yield bytes(held), line, _too_long("line", skipping, options)
    elif held:
        yield bytes(held), line, None


def _csv_blocks(path: str, found: str, source: Pushback, options: ReadOptions) -> Iterator[Block]:
    """Blocks of whole CSV records; the header is carried by every block."""
    header: tuple[str, ...] = ()
    for data, line, error in _cut_lines(source, options, quoted=True):
        if error is None and not header:
            header, data, used = split_header(data, source.encoding, found)
            line += used
            if not data:
                continue
        yield Block(path, found, line, data, source.encoding, header, error=error)
