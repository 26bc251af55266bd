"""From blocks to Arrow tables of one record kind, with every unreadable record as a reject."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import RecordError
from raylib.messages import LISTS, MESSAGES, Message, messages_array, rows_of
from raylib.reading.block import Block
from raylib.reading.coercion import coerce, plain_document
from raylib.reading.layouts import layout
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
        direct = _direct(block, kind, text_fields)
        if direct is not None:
            yield direct
            return
        for line, record in enumerate(_records(block.table, kind), block.first_line):
            builder.add(record, line, None, text_fields)
            if builder.full():
                yield builder.take()
    else:
        for _ in _feed(block, builder, text_fields):
            yield builder.take()
    if builder.rows or builder.rejects:
        yield builder.take()


def _records(table: pa.Table | None, kind: str) -> list[object]:
    """The rows of a table as records of JSON would be: what is null in one is not there."""
    if table is None:
        return []
    if kind == "document":
        return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]
    ours = any(name in LISTS and table.schema.field(name).type == MESSAGES for name in table.column_names)
    rows = rows_of(table) if ours else table.to_pylist()
    return [_without_nulls(row) for row in rows]


def _without_nulls(value: object) -> object:
    """A value without the fields that Arrow fills with null where a record has none, at any depth."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def _direct(block: Block, kind: str, text_fields: tuple[str, ...]) -> Parsed | None:
    """A block of plain documents without a flaw, converted without Python; None if it is anything else."""
    table, schema = block.table, SCHEMAS[kind]
    if table is None or kind != "document" or text_fields or "text" not in table.column_names:
        return None
    if not set(table.column_names) <= set(schema.names):
        return None  # other columns go to meta, record by record
    columns = []
    for name, wanted in zip(schema.names, schema.types, strict=True):
        if name in table.column_names:
            column = _direct_column(table[name], name, wanted)
        else:
            column = _missing_column(block, name, wanted, len(table))
        if column is None:
            return None
        columns.append(column)
    text = columns[schema.get_field_index("text")]
    data = text.buffers()[2]
    if data is not None and memoryview(data).tobytes().find(0) >= 0:
        return None
    if pc.any(pc.or_(pc.utf8_is_space(text), pc.equal(pc.binary_length(text), 0))).as_py():
        return None
    whole = pa.Table.from_arrays(columns, schema=schema)
    empty = mark_rejected(whole.slice(0, 0), stage="read", reason="", detail=pa.nulls(0, pa.large_string()))
    return Parsed(whole, empty)


def _direct_column(column: pa.ChunkedArray, name: str, wanted: pa.DataType) -> pa.Array | None:
    """A column as the schema wants it; None if its type or a missing value does not allow that."""
    try:
        cast = column.combine_chunks().cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if name == "source":
        return pc.fill_null(cast, "")
    return None if name != "meta" and cast.null_count else cast


def _missing_column(block: Block, name: str, wanted: pa.DataType, rows: int) -> pa.Array:
    """What stands for a column that a table lacks: `path:line` for ids, empty sources, no meta."""
    if name == "id":
        lines = pa.array(np.char.zfill(np.arange(block.first_line, block.first_line + rows).astype(str), 9))
        return pc.binary_join_element_wise(pa.scalar(block.path), lines, ":")
    return pa.repeat(pa.scalar("", wanted), rows) if name == "source" else pa.nulls(rows, wanted)


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
        rows = block.table.slice(0, 1).to_pylist() if block.table is not None else []
        return {k: v for k, v in rows[0].items() if v is not None} if rows else None
    if block.format in ("csv", "tsv"):
        return dict.fromkeys(block.header[1:], "")
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
