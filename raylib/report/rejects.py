"""Search in the rejected records of a run, a page of results at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raylib.errors import ParameterError
from raylib.schema import text_of
from raylib.storage.store import Store

__all__ = ["Cursor", "RejectsPage", "search_rejects"]


_SHOWN = 4000  # characters of a text
_SECONDS = 2.0  # of one search; the next one continues where it stopped
_ROWS = 2000  # of a file, read at a time
_COLUMNS = ("id", "source", "stage", "reason", "detail")


class RejectedRecord(TypedDict):
    """A rejected record as the page shows it; `characters` is the length of its whole text."""

    id: str
    source: str
    stage: str
    reason: str
    detail: str
    text: str
    characters: int


class RejectsPage(TypedDict):
    """A page of results, and the cursor to ask for the next page with; empty when there are no more records."""

    records: list[RejectedRecord]
    cursor: str


@dataclass(frozen=True)
class Cursor:
    """Where a search continues.

    Attributes:
        file: Position of the file among the files of rejected records.
        row: First row of this file to look at.
    """

    file: int = 0
    row: int = 0

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read what `str` writes; an empty text is the beginning.

        Raises:
            ParameterError: the text is not a cursor.
        """
        if not text:
            return cls()
        parts = text.split(":")
        if len(parts) != 2 or not all(part.isdecimal() and len(part) < 12 for part in parts):
            raise ParameterError(f"cursor {text!r} was not returned by a search; such a cursor reads like '2:1500'")
        return cls(int(parts[0]), int(parts[1]))

    def __str__(self) -> str:
        return f"{self.file}:{self.row}"


def search_rejects(
    store: Store, files: Sequence[str], query: str = "", key: str = "", cursor: str = "", limit: int = 50
) -> RejectsPage:
    """Find rejected records.

    A search ends after two seconds even if it has found less than `limit` records: a page may be empty and still have a
    cursor to continue with.

    Args:
        store: Folder of the run.
        files: Files of rejected records, in the same order for all pages of a search.
        query: What the id, the text or the detail contains, in upper or lower case. Empty for all records.
        key: `stage/reason`, or `stage` alone. Empty for all records.
        cursor: Where to continue: the cursor of the page before. Empty to begin.
        limit: Number of records of a page.

    Returns:
        The records, and the cursor of the next page.

    Raises:
        ParameterError: the cursor is not one.
    """
    begun = time.monotonic()
    found: list[RejectedRecord] = []
    for place, table in _batches(store, files, Cursor.parse(cursor)):
        rows = _matching_rows(table, query, key)
        taken = rows[: limit - len(found)]
        found += [_shown(row) for row in table.take(pa.array(taken)).to_pylist()]
        if len(rows) > len(taken):
            return {"records": found, "cursor": str(Cursor(place.file, place.row + int(rows[len(taken)])))}
        if time.monotonic() - begun > _SECONDS:
            return {"records": found, "cursor": str(Cursor(place.file, place.row + len(table)))}
    return {"records": found, "cursor": ""}


def _batches(store: Store, files: Sequence[str], start: Cursor) -> Iterator[tuple[Cursor, pa.Table]]:
    """Tables of rejected records from a place on, each with the place of its first row."""
    for number in range(start.file, len(files)):
        first = start.row if number == start.file else 0
        position = 0
        with store.open(files[number]) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(_ROWS):
                skipped = max(0, first - position)
                if skipped < len(batch):
                    yield Cursor(number, position + skipped), _readable(pa.Table.from_batches([batch.slice(skipped)]))
                position += len(batch)


def _readable(table: pa.Table) -> pa.Table:
    """Columns to search and to show: the messages of a conversation as one text, a damaged record as it was read."""
    text = text_of(table)
    if "meta" in table.column_names:
        raw = table["meta"].cast(text.type)
        text = pc.if_else(pc.equal(pc.fill_null(pc.utf8_length(text), 0), 0), raw, text)
    return table.select(list(_COLUMNS)).append_column("text", text)


def _matching_rows(table: pa.Table, query: str, key: str) -> npt.NDArray[np.int64]:
    """Positions of the rows that are looked for."""
    rows = np.arange(len(table))
    stage, _, reason = key.partition("/")
    for name, value in (("stage", stage), ("reason", reason)):
        if value:
            rows = rows[_flags(pc.equal(table[name].take(pa.array(rows)), value))]
    if query and len(rows):
        left = table.take(pa.array(rows))
        hits = [_flags(pc.match_substring(left[name], query, ignore_case=True)) for name in ("id", "text", "detail")]
        rows = rows[np.logical_or.reduce(hits)]
    return rows


def _flags(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = pc.fill_null(values, False).to_numpy()
    return flags


def _shown(row: Mapping[str, Any]) -> RejectedRecord:
    text = row["text"] or ""
    return {
        "id": (row["id"] or "")[:_SHOWN],
        "source": (row["source"] or "")[:_SHOWN],
        "stage": row["stage"] or "",
        "reason": row["reason"] or "",
        "detail": (row["detail"] or "")[:_SHOWN],
        "text": text[:_SHOWN],
        "characters": len(text),
    }
