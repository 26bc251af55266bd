"""Records and rejects of one path, gathered until there are enough for a table."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

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

_Raw: TypeAlias = "str | bytes | Callable[[], str] | None"

_encoded = json.JSONEncoder(ensure_ascii=False, default=str).encode  # json.dumps makes an encoder for each call

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
    _rejects: list[tuple[int, str, str, str]] = field(default_factory=list)
    _size: int = 0

    def reject(self, line: int, reason: str, detail: str, raw: str) -> None:
        """Add an unreadable record.

        Args:
            line: Its line or number.
            reason: Why it is one.
            detail: What is wrong with it.
            raw: What its reject shows.
        """
        self._rejects.append((line, reason, detail, raw[:SHOWN]))

    def add(self, record: object, line: int, raw: _Raw = None) -> None:
        """Coerce and add a record; one that cannot be coerced becomes a reject.

        Args:
            record: The record as parsed.
            line: Its line or number.
            raw: What its reject shows if the record itself cannot be shown; a string is shown at any rate,
                or what a function gives.
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
        rejected = self._rejected(schema)
        self._rows, self._rejects, self._size = [], [], 0
        self._lines.clear()
        return Parsed(table, rejected)

    def _rejected(self, schema: pa.Schema) -> pa.Table:
        """The rejects as a table: made by columns, as a file may hold millions of them and nothing else."""
        count = len(self._rejects)
        ids = [f"{self.path}:{line}" for line, _, _, _ in self._rejects]
        details = [f"{name}: {reject[2]}" for name, reject in zip(ids, self._rejects, strict=True)]
        raw = [reject[3] for reject in self._rejects]
        columns = {
            "id": _texts(ids),
            "source": pa.repeat(pa.scalar(self.path, pa.large_string()), count),
            **({"text": _texts(raw)} if self.kind == "document" else {"meta": _texts(list(map(_as_meta, raw)))}),
        }
        table = pa.Table.from_arrays(
            [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(count, f.type) for f in schema],
            schema=schema,
        )
        rejected = mark_rejected(table, stage="read", reason="", detail=_texts(details))
        reasons = pa.array([reject[1] for reject in self._rejects], pa.string())
        return rejected.set_column(rejected.column_names.index("reason"), "reason", reasons)

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


def _texts(values: list[str]) -> pa.Array:
    """Texts as a column; half a surrogate pair becomes a question mark."""
    try:
        return pa.array(values, pa.large_string())
    except ValueError:
        return pa.array([value.encode("utf-8", "replace").decode() for value in values], pa.large_string())


def _as_meta(raw: str) -> str:
    """What stands in the meta of a reject that has no text."""
    return orjson.dumps({"raw": raw if raw.isascii() else raw.encode("utf-8", "replace").decode()}).decode()


def _column(values: list[object], wanted: pa.DataType) -> pa.Array:
    """Values as a column of a schema."""
    if wanted != MESSAGES:
        return pa.array(values, wanted)
    return messages_array(cast("list[list[Message] | None]", values))


def _shown(record: object, raw: _Raw) -> str:
    """What the reject of a record shows: the record, or what it was read from if that is nested too deeply."""
    if raw is not None and not isinstance(raw, bytes):
        return raw if isinstance(raw, str) else raw()
    try:
        return _encoded(record)
    except (RecursionError, ValueError, TypeError):
        return "" if raw is None else raw[: 4 * SHOWN].decode("utf-8", "replace")
