"""Lines and CSV: blocks that end at the border of a record."""

from __future__ import annotations

from collections.abc import Iterator

from raylib.reading.arrays import value_blocks
from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.csv_header import Header, header_of
from raylib.reading.decoding import Pushback
from raylib.reading.decompression import ByteStream
from raylib.reading.json_shape import is_lines

__all__ = ["text_blocks"]


def text_blocks(path: str, found: str, stream: ByteStream, options: ReadOptions) -> Iterator[Block]:
    """Blocks of a decompressed stream of text.

    Args:
        path: Path that blocks and error messages show.
        found: `jsonl`, `json`, `csv`, `tsv` or `txt`; if empty, the first character decides.
        stream: Decompressed bytes.
        options: How to read.
    """
    source = Pushback(stream, options.encoding, options.block_bytes)
    if source.foreign is not None:
        yield Block(path, "lines", error=source.foreign)
        return
    if found == "" and source.head.lstrip()[:1] not in (b"[", b"{"):
        found = "txt"
    if found == "txt" and options.document_per == "file":
        yield from _document_block(path, source, options)
        return
    source.lines_end_with_returns()
    if found in ("csv", "tsv"):
        yield from _csv_blocks(path, found, source, options)
        return
    if found != "txt" and not is_lines(source.head, found, whole=source.whole):
        yield from value_blocks(path, source, options)
        return
    kind = "lines" if found == "txt" else "jsonl"
    for data, line, error in _cut_lines(source, options, json=kind == "jsonl"):
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
    source: Pushback, options: ReadOptions, *, quoted: bool = False, json: bool = False
) -> Iterator[tuple[bytes, int, Unreadable | None]]:
    """Runs of whole lines (whole records when `quoted`), each with its first line number; half a line only of JSON."""
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
        yield from _last_lines(bytes(held), line, ended=json or source.error is None)


def _last_lines(held: bytes, line: int, *, ended: bool) -> Iterator[tuple[bytes, int, Unreadable | None]]:
    """The last lines; of a stream that ends early the very last one is half a line, however whole it may look."""
    border = held.rfind(b"\n") + 1
    if ended or border == len(held):
        yield held, line, None
        return
    if border:
        yield held[:border], line, None
    cut = Unreadable("cut_line", f"the file ends in this line, of which {len(held) - border:,} bytes are there")
    yield held[border:], line + held.count(b"\n"), cut


def _csv_blocks(path: str, found: str, source: Pushback, options: ReadOptions) -> Iterator[Block]:
    """Blocks of whole CSV records; the header is carried by every block."""
    header: Header | None = None
    for data, line, error in _cut_lines(source, options, quoted=True):
        if error is None and header is None:
            header = header_of(data, source.encoding, found)
            if header.error is not None:
                yield Block(path, "lines", 1, data[:1000], source.encoding, error=header.error)
                return
            line, data = line + header.lines, header.rest
            if not data:
                continue
        if header is None:
            yield Block(path, "lines", line, data, source.encoding, error=error)
            return
        kind = "csv" if header.quoted else "tsv"
        yield Block(path, kind, line, data, source.encoding, (header.delimiter, *header.names), error=error)
