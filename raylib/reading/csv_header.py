"""The header of a CSV or TSV file: its delimiter, its columns, and whether its cells are quoted."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from raylib.reading.block import Unreadable

__all__ = ["Header", "header_of", "read_rows"]

_DELIMITERS = ",;\t|"
_HEADER_LINES = 100  # a header that is longer has a quote that nothing closes
_LOOKED_AT = 1 << 16


class Header(NamedTuple):
    """What the beginning of a CSV or TSV file says about the rest.

    Attributes:
        delimiter: What stands between two cells.
        names: Names of the columns; a column without one is called by its number.
        quoted: Whether a cell may be quoted, and so hold delimiters and line ends.
        rest: What follows the header in the first block.
        lines: Number of lines of the header.
        error: Why the file cannot be read, if it cannot.
    """

    delimiter: str
    names: tuple[str, ...]
    quoted: bool
    rest: bytes
    lines: int
    error: Unreadable | None = None


def header_of(data: bytes, encoding: str, found: str) -> Header:
    """Read the header of a CSV or TSV file.

    Args:
        data: First block of the file.
        encoding: Codec of `data`.
        found: `csv` or `tsv`.
    """
    begin, delimiter = _declared(data)
    end = _header_end(data, begin)
    text = data[begin:end].decode(encoding, "replace").lstrip("\ufeff")
    if not delimiter:
        delimiter = "\t" if found == "tsv" else max(_DELIMITERS, key=lambda d: (text.count(d), d == ","))
    cells = next(iter(read_rows(text, delimiter)), [])
    names = tuple(name.strip() or f"column_{number}" for number, name in enumerate(cells, 1))
    rest = data[end:]
    quoted = delimiter != "\t" or _is_quoted(rest, encoding, len(names))
    lines = data.count(b"\n", 0, end)
    return Header(delimiter, names, quoted, rest, lines, _flaw(text, names))


def read_rows(text: str, delimiter: str) -> Iterable[list[str]]:
    """Rows of CSV; those in front of what is none.

    Args:
        text: The text.
        delimiter: What stands between two cells.
    """
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        return


def _declared(data: bytes) -> tuple[int, str]:
    """Where the header begins, and the delimiter that a first line `sep=;`, as Excel writes it, declares."""
    line = data[:20].split(b"\n", 1)[0].rstrip(b"\r").lower()
    if line.startswith(b"sep=") and len(line) == 5:
        return data.find(b"\n") + 1 or len(data), line[4:].decode("ascii", "replace")
    return 0, ""


def _header_end(data: bytes, begin: int) -> int:
    """Position behind the header; it ends at the first line end outside of quotes."""
    end = begin
    for _ in range(_HEADER_LINES):
        newline = data.find(b"\n", end)
        end = len(data) if newline < 0 else newline + 1
        if newline < 0 or data.count(b'"', begin, end) % 2 == 0:
            return end
    return data.find(b"\n", begin) + 1


def _is_quoted(data: bytes, encoding: str, columns: int) -> bool:
    """Whether cells between tabs are quoted as in CSV; many tools write them as they are, with any quotes inside."""
    head = data[:_LOOKED_AT]
    if b'"' not in head:
        return True
    lines = head.decode(encoding, "replace").split("\n")
    lines = lines[:-1] if len(data) > len(head) and len(lines) > 1 else lines
    as_they_are = sum(line.count("\t") + 1 == columns for line in lines)
    strict = 0
    try:
        for row in csv.reader((line + "\n" for line in lines), delimiter="\t", strict=True):
            strict += len(row) == columns
    except csv.Error:
        pass
    return strict >= as_they_are


def _flaw(text: str, names: tuple[str, ...]) -> Unreadable | None:
    """Why no row below this header can be read; None if they can."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:5])
        return Unreadable(
            "duplicate_columns",
            f"the header has several columns {shown}; which of them counts is open, so no row is read: rename them",
        )
    if text.lstrip()[:1] in ("{", "["):
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        return Unreadable("unreadable_file", "these are JSON lines, not CSV: rename the file to .jsonl")
    return None
