"""From blocks to Arrow tables of one record kind, with every unreadable record as a reject."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import orjson
import pyarrow as pa

from raylib.errors import RecordError
from raylib.messages import MESSAGES, Message, messages_array
from raylib.reading.block import Block
from raylib.reading.coercion import coerce, plain_document
from raylib.reading.layouts import layout
from raylib.reading.rows import plain_documents, records_of
from raylib.schema import SCHEMAS
from raylib.stage import mark_rejected

__all__ = ["Parsed", "first_record", "parse"]


_BATCH_CHARACTERS = 300_000  # texts of one table: small enough to stay in the CPU's caches
_BATCH_ROWS = 20_000
_SHOWN = 100_000  # characters of an unreadable line that its reject keeps
csv.field_size_limit(1 << 27)


@dataclass(frozen=True)
class Parsed:
    """Records read from a block.

    Attributes:
        table: Records in `SCHEMAS[kind]`.
        rejects: Unreadable records, with the same columns and `stage`, `reason` and `detail`.
    """

    table: pa.Table
    rejects: pa.Table


@dataclass
class _Builder:
    """Rows and rejects of one path until there are enough for a table."""

    kind: str
    path: str
    rows: list[Mapping[str, object]] = field(default_factory=list)
    rejects: list[tuple[dict[str, str], str, str]] = field(default_factory=list)
    size: int = 0

    def reject(self, line: int, reason: str, detail: str, raw: str) -> None:
        """Add an unreadable record; `raw` is what its reject shows."""
        raw = raw[:_SHOWN].encode("utf-8", "replace").decode()
        row: dict[str, str] = {"id": f"{self.path}:{line}", "source": self.path}
        if self.kind == "document":
            row["text"] = raw
        else:
            row["meta"] = orjson.dumps({"raw": raw}).decode()
        self.rejects.append((row, reason, f"{self.path}:{line}: {detail}"))

    def add(self, record: object, line: int, raw: str | None, text_fields: tuple[str, ...]) -> None:
        """Coerce and add a record; `raw` is what its reject shows if it cannot be coerced (None: the record)."""
        identifier = f"{self.path}:{line:09d}"
        try:
            row = coerce(record, self.kind, default_id=identifier, default_source="", text_fields=text_fields)
        except RecordError as error:
            shown = raw if raw is not None else json.dumps(record, ensure_ascii=False, default=str)
            self.reject(line, error.reason, error.detail, shown)
            return
        text = row.get("text")
        self.rows.append(row)
        self.size += len(text) if isinstance(text, str) else 400

    def add_plain(self, record: dict[str, str], line: int) -> None:
        """Add a plain document, which needs no coercion."""
        if "id" not in record:
            record["id"] = f"{self.path}:{line:09d}"
        record.setdefault("source", "")
        self.rows.append(record)
        self.size += len(record["text"])

    def full(self) -> bool:
        """Whether there are enough rows or rejects for a table."""
        return self.size >= _BATCH_CHARACTERS or len(self.rows) >= _BATCH_ROWS or len(self.rejects) >= _BATCH_ROWS

    def take(self) -> Parsed:
        """Everything held, as tables; the builder is empty afterwards."""
        schema = SCHEMAS[self.kind]
        columns = [_column([r.get(f.name) for r in self.rows], f.type) for f in schema]
        table = pa.Table.from_arrays(columns, schema=schema)
        rejected = pa.Table.from_arrays(
            [pa.array([r[0].get(f.name) for r in self.rejects], f.type) for f in schema], schema=schema
        )
        reasons = pa.array([r[1] for r in self.rejects], pa.string())
        details = pa.array([r[2] for r in self.rejects], pa.large_string())
        rejected = mark_rejected(rejected, stage="read", reason="", detail=details)
        rejected = rejected.set_column(rejected.column_names.index("reason"), "reason", reasons)
        self.rows, self.rejects, self.size = [], [], 0
        return Parsed(table, rejected)


def _column(values: list[object], wanted: pa.DataType) -> pa.Array:
    """Values as a column of a schema."""
    if wanted != MESSAGES:
        return pa.array(values, wanted)
    return messages_array(cast("list[list[Message] | None]", values))


def parse(block: Block, kind: str, text_fields: tuple[str, ...] = ()) -> Iterator[Parsed]:
    """Tables of the records of a block. Bad records become rejects and never raise.

    Args:
        block: A block of whole records.
        kind: One of `KINDS`.
        text_fields: For documents, the fields that hold the text; if empty, the usual ones are looked for.

    Returns:
        Tables of about 300,000 characters each, in order.
    """
    builder = _Builder(kind, block.path)
    if block.error is not None:
        raw = block.data.decode(block.encoding, "replace")
        builder.reject(block.first_line, *block.error, raw)
    elif block.format == "table":
        direct = plain_documents(block) if kind == "document" and not text_fields else None
        if direct is not None:
            empty = mark_rejected(direct.slice(0, 0), stage="read", reason="", detail=pa.nulls(0, pa.large_string()))
            yield Parsed(direct, empty)
            return
        for line, record in enumerate(records_of(block.table, kind), block.first_line):
            builder.add(record, line, None, text_fields)
            if builder.full():
                yield builder.take()
    else:
        for _ in _feed(block, builder, text_fields):
            yield builder.take()
    if builder.rows or builder.rejects:
        yield builder.take()


def _feed(block: Block, builder: _Builder, text_fields: tuple[str, ...]) -> Iterator[None]:
    """Parse a block into the builder; yields whenever the builder is full."""
    if block.format == "document":
        text = _decode(block, builder)
        if text is not None:
            builder.add({"text": text}, block.first_line, text, ())
    elif block.format == "jsonl":
        yield from _feed_jsonl(block, builder, text_fields)
    elif block.format in ("csv", "tsv"):
        yield from _feed_csv(block, builder, text_fields)
    else:
        for line, raw in enumerate(block.data.split(b"\n"), block.first_line):
            text = _line(raw, line, block, builder)
            if text is not None and text.strip():
                builder.add({"text": text.rstrip("\r")}, line, text, ())
                if builder.full():
                    yield


def _decode(block: Block, builder: _Builder) -> str | None:
    """The text of a document block; None, and a reject, if it does not decode."""
    try:
        return block.data.decode(block.encoding)
    except UnicodeDecodeError as error:
        shown = block.data[:_SHOWN].decode(block.encoding, "replace")
        builder.reject(block.first_line, "bad_encoding", f"not {block.encoding} at byte {error.start}", shown)
        return None


def _line(raw: bytes, line: int, block: Block, builder: _Builder) -> str | None:
    """The text of a line; None, and a reject, if it does not decode."""
    try:
        return raw.decode(block.encoding)
    except UnicodeDecodeError as error:
        shown = raw[:_SHOWN].decode(block.encoding, "replace")
        builder.reject(line, "bad_encoding", f"not {block.encoding} at byte {error.start} of the line", shown)
        return None


def _feed_jsonl(block: Block, builder: _Builder, text_fields: tuple[str, ...]) -> Iterator[None]:
    """Parse JSON lines into the builder; yields whenever the builder is full."""
    utf8 = block.encoding == "utf-8"
    plain = builder.kind == "document" and not text_fields
    for line, raw in enumerate(block.data.split(b"\n"), block.first_line):
        if not raw or raw.isspace():
            continue
        if not utf8:
            text = _line(raw, line, block, builder)
            if text is None:
                continue
            raw = text.encode()
        try:
            record = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            _add_refused(raw, line, str(error), builder, text_fields)
        else:
            if plain and plain_document(record):
                builder.add_plain(record, line)
            else:
                builder.add(record, line, None, text_fields)
        if builder.full():
            yield


def _add_refused(raw: bytes, line: int, complaint: str, builder: _Builder, text_fields: tuple[str, ...]) -> None:
    """Add or reject a line that orjson refuses; never as a plain document, as it may hold lone surrogates."""
    try:
        record = _second_opinion(raw, complaint)
    except RecordError as error:
        builder.reject(line, error.reason, error.detail, raw[: 4 * _SHOWN].decode("utf-8", "replace"))
    else:
        builder.add(record, line, None, text_fields)


def _second_opinion(raw: bytes, complaint: str) -> object:
    """What orjson refuses but the standard library reads (NaN, huge numbers); RecordError with the exact reason."""
    if b"\x00" in raw:
        raise RecordError("nul_byte", f"NUL byte at byte {raw.index(0)} of the line")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise RecordError("bad_encoding", f"not utf-8 at byte {error.start} of the line") from None
    try:
        record: object = json.loads(text)  # lone surrogates get through here; `coerce` names the field
    except RecursionError:
        raise RecordError("bad_json", "nested too deeply") from None
    except ValueError:
        cut = text.lstrip().startswith("{") and not text.rstrip().endswith("}")
        raise RecordError("cut_line" if cut else "bad_json", complaint) from None
    return record


def _feed_csv(block: Block, builder: _Builder, text_fields: tuple[str, ...]) -> Iterator[None]:
    """Parse CSV records into the builder; yields whenever the builder is full."""
    delimiter, *names = block.header
    try:
        text = block.data.decode(block.encoding)
        lines: Iterator[str] = iter(io.StringIO(text, newline=""))
    except UnicodeDecodeError:
        lines = _decodable_lines(block, builder)
    reader = csv.reader(lines, delimiter=delimiter)
    line = block.first_line
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            builder.reject(block.first_line + reader.line_num, "bad_csv", str(error), "")
            continue
        if row is None:
            return
        if any(cell.strip() for cell in row):
            if len(row) != len(names):
                detail = f"{len(row)} columns, the header has {len(names)}"
                builder.reject(line, "wrong_columns", detail, delimiter.join(row))
            else:
                record = _csv_record(names, row, builder.kind)
                builder.add(record, line, delimiter.join(row), text_fields)
        line = block.first_line + reader.line_num
        if builder.full():
            yield


def _csv_record(names: Sequence[str], row: Sequence[str], kind: str) -> dict[str, str]:
    """A row as a record; of conversations empty cells are absent, unless what is left has no layout."""
    record = dict(zip(names, row, strict=True))
    if kind == "document" or "" not in row:
        return record
    filled = {name: cell for name, cell in record.items() if cell}
    return record if layout(filled) in ("unknown", "document") else filled


def _decodable_lines(block: Block, builder: _Builder) -> Iterator[str]:
    """Lines of a damaged CSV block, those that do not decode as empty ones."""
    for line, raw in enumerate(block.data.split(b"\n"), block.first_line):
        text = _line(raw, line, block, builder)
        if text is not None and raw:
            yield text + "\n"
        elif text is None:
            yield "\n"  # keeps line numbers right


def first_record(block: Block) -> dict[str, object] | None:
    """The first readable raw record of a block, from which the kind of a data set is guessed."""
    if block.error is not None:
        return None
    if block.format == "table":
        rows = records_of(None if block.table is None else block.table.slice(0, 1), "document")
        return rows[0] if rows else None
    if block.format in ("csv", "tsv"):
        return _first_row(block)
    if block.format != "jsonl":
        return {"text": ""}
    for raw in block.data.split(b"\n")[:1000]:
        try:
            record = orjson.loads(raw.decode(block.encoding))
        except (ValueError, UnicodeDecodeError):
            continue
        if isinstance(record, dict):
            return record
    return None


def _first_row(block: Block) -> dict[str, object]:
    """The first row of a CSV block; empty cells if there is none that can be read."""
    delimiter, *names = block.header
    text = block.data[:_SHOWN].decode(block.encoding, "replace")
    try:
        row = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        row = []
    cells = row if len(row) == len(names) else [""] * len(names)
    record: dict[str, object] = dict(_csv_record(names, cells, "conversation"))
    return record
