"""Records and rejects of one path, gathered until there are enough for a table."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import orjson
import pyarrow as pa

from raylib.errors import RecordError
from raylib.messages import MESSAGES, Message, messages_array
from raylib.reading.coercion import coerce
from raylib.schema import SCHEMAS
from raylib.stage import mark_rejected

__all__ = ["SHOWN", "Builder", "Parsed"]

_BATCH_CHARACTERS = 300_000  # texts of one table: small enough to stay in the CPU's caches
_BATCH_ROWS = 20_000
SHOWN = 100_000
"""Characters of an unreadable line that its reject keeps."""

_REFUSALS = (pa.ArrowException, ValueError, TypeError, OverflowError, RecordError)

_log = logging.getLogger(__name__)


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
class Builder:
    """Rows and rejects of one path until there are enough for a table.

    Attributes:
        kind: One of `KINDS`.
        path: Path that ids and rejects show.
        text_fields: For documents, the fields that hold the text; if empty, the usual ones are looked for.
    """

    kind: str
    path: str
    text_fields: tuple[str, ...] = ()
    _rows: list[Mapping[str, object]] = field(default_factory=list)
    _lines: dict[int, int] = field(default_factory=dict)  # of the rows that a table may refuse
    _rejects: list[tuple[dict[str, str], str, str]] = field(default_factory=list)
    _size: int = 0

    def reject(self, line: int, reason: str, detail: str, raw: str) -> None:
        """Add an unreadable record.

        Args:
            line: Its line or number.
            reason: Why it is one.
            detail: What is wrong with it.
            raw: What its reject shows.
        """
        raw = raw[:SHOWN].encode("utf-8", "replace").decode()
        row: dict[str, str] = {"id": f"{self.path}:{line}", "source": self.path}
        if self.kind == "document":
            row["text"] = raw
        else:
            row["meta"] = orjson.dumps({"raw": raw}).decode()
        detail = detail.encode("utf-8", "replace").decode()
        self._rejects.append((row, reason, f"{self.path}:{line}: {detail}"))

    def add(self, record: object, line: int, raw: str | bytes | None = None) -> None:
        """Coerce and add a record; one that cannot be coerced becomes a reject.

        Args:
            record: The record as parsed.
            line: Its line or number.
            raw: What its reject shows if the record itself cannot be shown; a string is shown at any rate.
        """
        identifier = f"{self.path}:{line:09d}"
        try:
            row = coerce(record, self.kind, default_id=identifier, default_source="", text_fields=self.text_fields)
        except RecordError as error:
            self.reject(line, error.reason, error.detail, _shown(record, raw))
            return
        except RecursionError:
            self.reject(line, "bad_json", "nested too deeply", _shown(record, raw))
            return
        except Exception as error:  # noqa: BLE001 - whatever a record holds, it must not take the others along
            _log.exception("%s:%d: this is a bug of raylib; please report it", self.path, line)
            self.reject(line, "unreadable_record", f"{type(error).__name__}: {error}", _shown(record, raw))
            return
        text = row.get("text")
        self._lines[len(self._rows)] = line
        self._rows.append(row)
        self._size += len(text) if isinstance(text, str) else 400

    def add_plain(self, record: dict[str, str], line: int) -> None:
        """Add a plain document, which needs no coercion."""
        if "id" not in record:
            record["id"] = f"{self.path}:{line:09d}"
        record.setdefault("source", "")
        self._rows.append(record)
        self._size += len(record["text"])

    def full(self) -> bool:
        """Whether there are enough rows or rejects for a table."""
        return self._size >= _BATCH_CHARACTERS or len(self._rows) >= _BATCH_ROWS or len(self._rejects) >= _BATCH_ROWS

    def empty(self) -> bool:
        """Whether nothing is held."""
        return not self._rows and not self._rejects

    def take(self) -> Parsed:
        """Everything held, as tables; the builder is empty afterwards."""
        schema = SCHEMAS[self.kind]
        try:
            table = _table(self._rows, schema)
        except _REFUSALS:
            table = _table(self._storable(schema), schema)
        rejected = pa.Table.from_arrays(
            [pa.array([r[0].get(f.name) for r in self._rejects], f.type) for f in schema], schema=schema
        )
        reasons = pa.array([r[1] for r in self._rejects], pa.string())
        details = pa.array([r[2] for r in self._rejects], pa.large_string())
        rejected = mark_rejected(rejected, stage="read", reason="", detail=details)
        rejected = rejected.set_column(rejected.column_names.index("reason"), "reason", reasons)
        self._rows, self._rejects, self._size = [], [], 0
        self._lines.clear()
        return Parsed(table, rejected)

    def _storable(self, schema: pa.Schema) -> list[Mapping[str, object]]:
        """The rows that a table can hold; each of the others becomes a reject."""
        fine = []
        for number, row in enumerate(self._rows):
            complaint = _complaint(row, schema)
            if complaint:
                line = self._lines.get(number, 0)
                self.reject(line, "bad_field", f"a field cannot be kept: {complaint}", _shown(row, None))
            else:
                fine.append(row)
        return fine


def _complaint(row: Mapping[str, object], schema: pa.Schema) -> str:
    """Why a table cannot hold a row; empty if it can."""
    try:
        _table([row], schema)
    except _REFUSALS as error:
        return str(error) or type(error).__name__
    return ""


def _table(rows: list[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of a schema."""
    return pa.Table.from_arrays([_column([r.get(f.name) for r in rows], f.type) for f in schema], schema=schema)


def _column(values: list[object], wanted: pa.DataType) -> pa.Array:
    """Values as a column of a schema."""
    if wanted != MESSAGES:
        return pa.array(values, wanted)
    return messages_array(cast("list[list[Message] | None]", values))


def _shown(record: object, raw: str | bytes | None) -> str:
    """What the reject of a record shows: the record, or what it was read from if that is nested too deeply."""
    if isinstance(raw, str):
        return raw
    try:
        return json.dumps(record, ensure_ascii=False, default=str)
    except (RecursionError, ValueError, TypeError):
        return "" if raw is None else raw[: 4 * SHOWN].decode("utf-8", "replace")
