"""From bytes to blocks: open, decompress, decode and cut files at record borders, whatever their size.

`blocks_of` yields `Block`s of bounded size; what cannot be read (a cut archive, a bomb, a line of
100 MB) becomes a block with an `error`, which later is one rejected record with file and line.
`raylib.parsing` turns blocks into Arrow tables.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any

import orjson
import pyarrow as pa

from raylib.encodings import detect_encoding, normalise_encoding
from raylib.sources import Piece, file_format, open_filesystem

__all__ = ["Block", "ReadOptions", "blocks_of"]

_CHUNK = 1 << 20
_HEAD = 1 << 16
_SMALL_JSON = 32 << 20
_TABLE_BYTES = 8 << 20
_READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)


@dataclass(frozen=True)
class ReadOptions:
    """How to read; the `input` part of a recipe.

    encoding: "auto" or a codec name. block_bytes: size of a block. max_record_bytes: longer lines
    and documents are rejected. max_expansion: a compressed file may grow by this factor (beyond
    256 MiB) before it is taken for a bomb. document_per: for .txt, `file` or `line`.
    """

    encoding: str = "auto"
    block_bytes: int = 16 << 20
    max_record_bytes: int = 64 << 20
    max_expansion: float = 200.0
    document_per: str = "file"


@dataclass(frozen=True)
class Block:
    """A run of whole records of one file.

    path: the file, or `archive::member`. format: jsonl, csv, tsv, lines, document or table.
    first_line: line number (record number for JSON arrays and tables) of the first record, from 1.
    error: (reason, detail) when this block stands for something that could not be read.
    consumed: bytes of the file on disk that were read up to the end of this block, for progress bars.
    """

    path: str
    format: str
    first_line: int = 1
    data: bytes = b""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    table: pa.Table | None = field(default=None, compare=False)
    error: tuple[str, str] | None = None
    consumed: int = 0


class _Bomb(OSError):
    pass


class _Limited(io.RawIOBase):
    """A reader that ends early, with the reason in `error`, when its stream is damaged or a bomb.

    What was read before the damage is worth having, so the error waits until that was worked through.
    """

    def __init__(self, stream: IO[bytes], compressed: int, factor: float) -> None:
        # read1 gives what is there before it runs into the end of a cut file; read would lose it
        self._read, self._out = getattr(stream, "read1", stream.read), 0
        self._limit = max(256 << 20, int(compressed * factor))
        self.error: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self.error is not None:
            return b""
        try:
            data = self._read(min(size, _CHUNK) if size and size > 0 else _CHUNK)
        except _READ_ERRORS as error:
            self.error = error
            return b""
        self._out += len(data)
        if self._out > self._limit:
            self.error = _Bomb(f"expands to over {self._limit >> 20} MiB (input.max_expansion)")
        return data


def _decompressed(stream: Any, compression: str) -> Any:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if compression == "bz2":
        return bz2.BZ2File(stream)
    if compression == "xz":
        return lzma.LZMAFile(stream)
    import zstandard

    reader: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return reader


def blocks_of(piece: Piece, options: ReadOptions) -> Iterator[Block]:
    """Blocks of a file (or a part of a Parquet or Arrow file), in order. Reading errors become error blocks."""
    path = piece.file.path
    found, compression = file_format(path)
    try:
        system, inner = open_filesystem(path)
        if found in ("parquet", "arrow") and not compression:
            with system.open_input_file(inner) as stream:
                yield from _table_blocks(path, found, stream, piece.start, piece.stop)
        elif found == "zip" and not compression:
            with system.open_input_file(inner) as stream:
                yield from _zip_blocks(path, stream, options)
        else:
            with system.open_input_file(inner) as stream:
                for block in _stream_blocks(path, found, compression, stream, piece.file.size, options):
                    yield replace(block, consumed=stream.tell())
    except _READ_ERRORS + (pa.ArrowException,) as error:
        yield Block(path, "lines", error=_error_of(error))


def _error_of(error: BaseException) -> tuple[str, str]:
    if isinstance(error, _Bomb):
        return "expansion_limit", str(error)
    if isinstance(error, EOFError):
        return "truncated_file", str(error) or "the file ends in the middle"
    return "unreadable_file", f"{type(error).__name__}: {error}"


def _stream_blocks(
    path: str, found: str, compression: str, stream: Any, size: int, options: ReadOptions
) -> Iterator[Block]:
    if found == "tar":
        mode = {"": "r|*", "gzip": "r|gz", "bz2": "r|bz2", "xz": "r|xz"}.get(compression)
        source = stream
        if mode is None:
            source, mode = _decompressed(stream, compression), "r|"
        yield from _tar_blocks(path, source, mode, size, options)
        return
    if compression:
        limited: Any = _Limited(_decompressed(stream, compression), size, options.max_expansion)
    else:
        limited = stream
    if found in ("parquet", "arrow"):
        yield from _table_blocks(path, found, pa.BufferReader(_read_all(limited)), 0, None)
        return
    yield from _text_blocks(path, found, limited, options)
    for reader in (stream, limited):
        if isinstance(reader, _Limited) and reader.error is not None:
            raise reader.error


def _read_all(stream: Any, limit: int = 1 << 30) -> bytes:
    parts, total = [], 0
    while data := stream.read(_CHUNK):
        total += len(data)
        if total > limit:
            raise _Bomb("a compressed table of over 1 GiB cannot be streamed; decompress it first")
        parts.append(data)
    if isinstance(stream, _Limited) and stream.error is not None:
        raise stream.error
    return b"".join(parts)


# ---- archives ---------------------------------------------------------------------------------


def _unsafe(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":")


def _member_blocks(path: str, name: str, stream: Any, size: int, options: ReadOptions) -> Iterator[Block]:
    shown = f"{path}::{name}"
    found, compression = file_format(name)
    if found in ("zip", "tar"):
        yield Block(shown, "lines", error=("nested_archive", "archives inside archives are not read"))
        return
    try:
        yield from _stream_blocks(shown, found, compression, stream, size, options)
    except _READ_ERRORS + (pa.ArrowException,) as error:
        yield Block(shown, "lines", error=_error_of(error))
        if isinstance(error, _Bomb):
            raise


def _zip_blocks(path: str, stream: Any, options: ReadOptions) -> Iterator[Block]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if _unsafe(member.filename):
                yield Block(f"{path}::{member.filename}", "lines", error=("unsafe_path", "path outside the archive"))
                continue
            with archive.open(member) as raw:
                limited = _Limited(raw, member.compress_size, options.max_expansion)
                try:
                    yield from _member_blocks(path, member.filename, limited, member.compress_size, options)
                except _Bomb:
                    continue  # said by its error block; the next member may be harmless


def _tar_blocks(path: str, stream: Any, mode: str, size: int, options: ReadOptions) -> Iterator[Block]:
    total = 0
    limit = max(256 << 20, int(size * options.max_expansion))
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for member in archive:
            if not member.isfile():
                continue
            if _unsafe(member.name):
                yield Block(f"{path}::{member.name}", "lines", error=("unsafe_path", "path outside the archive"))
                continue
            total += member.size
            if total > limit:
                raise _Bomb(f"expands to over {limit >> 20} MiB (input.max_expansion)")
            raw = archive.extractfile(member)
            if raw is not None:
                yield from _member_blocks(path, member.name, raw, member.size, options)


# ---- tables -----------------------------------------------------------------------------------


def _table_blocks(path: str, found: str, stream: Any, start: int, stop: int | None) -> Iterator[Block]:
    line = 1
    if found == "parquet":
        import pyarrow.parquet as pq

        parquet = pq.ParquetFile(stream)
        for i in range(start):
            line += parquet.metadata.row_group(i).num_rows
        groups = range(start, parquet.num_row_groups if stop is None else stop)
        rows = sum(parquet.metadata.row_group(i).num_rows for i in groups)
        size = sum(parquet.metadata.row_group(i).total_byte_size for i in groups)
        # rows of a megabyte each come a few at a time, so that no batch outgrows a block
        batch_rows = max(1, min(4096, int(_TABLE_BYTES * rows / max(size, 1))))
        for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=groups):
            yield Block(path, "table", line, table=pa.Table.from_batches([batch]))
            line += len(batch)
        return
    try:
        reader = pa.ipc.open_file(stream)
    except pa.ArrowInvalid:
        stream.seek(0)
        for batch in pa.ipc.open_stream(stream):
            yield Block(path, "table", line, table=pa.Table.from_batches([batch]))
            line += len(batch)
        return
    for i in range(reader.num_record_batches if stop is None else stop):
        batch = reader.get_batch(i)
        if i >= start:
            yield Block(path, "table", line, table=pa.Table.from_batches([batch]))
        line += len(batch)


# ---- text -------------------------------------------------------------------------------------


class _Pushback:
    """A byte stream whose head can be looked at before it is read; wide encodings become UTF-8."""

    def __init__(self, stream: Any, encoding: str, chunk: int) -> None:
        self._stream, self._chunk = stream, max(1, min(chunk, _CHUNK))
        head = b""
        while len(head) < _HEAD and (data := stream.read(_HEAD - len(head))):
            head += data
        self.encoding = detect_encoding(head) if encoding == "auto" else normalise_encoding(encoding)
        if self.encoding in ("utf-8", "utf-8-sig") and head.startswith(codecs.BOM_UTF8):
            head = head[3:]
        if self.encoding == "utf-8-sig":
            self.encoding = "utf-8"
        self._decoder = None
        if self.encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
            # a newline byte can be half of a character there, so these are turned into UTF-8 first
            self._decoder = codecs.getincrementaldecoder(self.encoding)("replace")
            self.encoding = "utf-8"
            head = self._decoder.decode(head).encode("utf-8", "replace")
        self.head = head

    @property
    def error(self) -> Exception | None:
        """Why the stream ended early, if it did."""
        return getattr(self._stream, "error", None)

    def chunks(self) -> Iterator[bytes]:
        yield self.head
        while data := self._stream.read(self._chunk):
            yield self._decoder.decode(data).encode("utf-8", "replace") if self._decoder else data
        if self._decoder and (rest := self._decoder.decode(b"", final=True)):
            yield rest.encode("utf-8", "replace")


def _text_blocks(path: str, found: str, stream: Any, options: ReadOptions) -> Iterator[Block]:
    source = _Pushback(stream, options.encoding, options.block_bytes)
    first = source.head.lstrip()[:1]
    if found == "json":
        found = "array" if first == b"[" else "jsonl"
    if found == "":
        found = "array" if first == b"[" else "jsonl" if first == b"{" else "txt"
    if found == "array":
        yield from _array_blocks(path, source, options)
    elif found == "txt" and options.document_per == "file":
        yield from _document_block(path, source, options)
    elif found in ("csv", "tsv"):
        yield from _csv_blocks(path, found, source, options)
    else:
        for data, line, error in _cut_lines(source, options, quoted=False):
            kind = "jsonl" if found == "jsonl" else "lines"
            yield Block(path, kind, line, data, source.encoding, error=error)


def _document_block(path: str, source: _Pushback, options: ReadOptions) -> Iterator[Block]:
    parts, total = [], 0
    for data in source.chunks():
        parts.append(data)
        total += len(data)
        if total > options.max_record_bytes:
            yield Block(
                path, "document", 1, parts[0][:1000], source.encoding, error=_too_long("document", total, options)
            )
            return
    if source.error is None:  # half a document is no document
        yield Block(path, "document", 1, b"".join(parts), source.encoding)


def _too_long(what: str, size: int, options: ReadOptions) -> tuple[str, str]:
    limit = options.max_record_bytes >> 20
    return f"{what}_too_long", f"{what} of over {size >> 20} MiB, the limit is {limit} MiB (input.max_record_mb)"


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
    source: _Pushback, options: ReadOptions, *, quoted: bool
) -> Iterator[tuple[bytes, int, tuple[str, str] | None]]:
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


def _csv_blocks(path: str, found: str, source: _Pushback, options: ReadOptions) -> Iterator[Block]:
    header: tuple[str, ...] = ()
    for data, line, error in _cut_lines(source, options, quoted=True):
        if error is None and not header:
            from raylib.parsing import split_header

            header, data, used = split_header(data, source.encoding, found)
            line += used
            if not data:
                continue
        yield Block(path, found, line, data, source.encoding, header, error=error)


def _array_blocks(path: str, source: _Pushback, options: ReadOptions) -> Iterator[Block]:
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


def _array_items(source: _Pushback) -> Iterator[bytes | tuple[str, str]]:
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
