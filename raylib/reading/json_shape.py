"""What a file of JSON holds: lines, an array, objects of several lines, an object around its records, or columns."""

from __future__ import annotations

import re

from raylib.errors import RecordError
from raylib.exact import dumps, loads
from raylib.reading.layouts import QUESTION_FIELDS, TEXT_FIELDS, layout

__all__ = ["array_inside", "is_lines", "unwrapped"]

_SPACE = b" \t\r\n\xef\xbb\xbf"
_LISTS = (
    *("data", "train", "rows", "examples", "records", "items", "samples", "instances", "documents", "docs"),
    *("validation", "valid", "val", "test", "dev", "results", "list", "dataset", "entries", "articles"),
    *("questions", "pages"),
)
_INSIDE = re.compile(
    rb'\s*\{(?:\s*"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\d.eE+-]+|true|false|null)\s*,)*'
    rb'\s*"(' + "|".join(_LISTS).encode() + rb')"\s*:\s*\[(?=\s*\{)'
)
_TEXTS = (*TEXT_FIELDS, *QUESTION_FIELDS, "prompt")
_RECORD = re.compile(rb'"(?:' + "|".join(_TEXTS).encode() + rb')"\s*:\s*"')


def is_lines(head: bytes, found: str, *, whole: bool) -> bool:
    """Whether each line of a file is a record; otherwise its values are looked for by their brackets.

    Args:
        head: First bytes of the file.
        found: `jsonl`, `json`, or empty if the file's name does not tell.
        whole: Whether these are all bytes of the file.
    """
    text = head.lstrip(_SPACE)
    line, newline, rest = text.partition(b"\n")
    alone = whole and not rest.strip(_SPACE)
    ended = bool(newline) or whole
    if text[:1] == b"[":
        return found == "jsonl" and _is_list_of_a_line(line, ended=ended)
    if text[:1] != b"{":
        return True
    if not ended:
        return found != "json"  # a line of over 64 KiB, or an object around everything
    try:
        loads(line)
    except RecordError:
        opened = line.rstrip(_SPACE)[-1:] in (b"{", b"[", b",")
        return not (opened and not rest.startswith(b"{"))
    return not alone


def _is_list_of_a_line(line: bytes, *, ended: bool) -> bool:
    """Whether a first line that begins a list is one of several lists in lines, rather than an array of records."""
    of_objects = line[1:].lstrip(_SPACE).startswith(b"{")
    if not ended:
        return not of_objects
    try:
        value = loads(line)
    except RecordError:
        return not of_objects and line.rstrip(_SPACE)[-1:] not in (b"[", b"{", b",", b"}")
    return not (isinstance(value, list) and value and all(isinstance(item, dict) for item in value))


def array_inside(head: bytes) -> int:
    """Where the array of records begins in an object that goes on behind `head`; 0 if there is none.

    Args:
        head: First bytes of the file.
    """
    found = _INSIDE.match(head)
    if found is None or _RECORD.search(head, 0, found.start(1)):
        return 0
    return found.end()


def unwrapped(text: bytes) -> list[bytes]:
    """The records in the only object of a file.

    Args:
        text: The object.

    Returns:
        The records of the list in an object such as `{"data": [...]}`, or the rows of a table that pandas wrote by
        columns, each as JSON; the object itself if it is a record, or no JSON.
    """
    try:
        value = loads(text)
    except RecordError:
        return [text]
    if not isinstance(value, dict) or not value:
        return [text]
    rows = _split(value) or _listed(value) or _by_columns(value)
    return [text] if rows is None else [dumps(row).encode() for row in rows]


def _listed(value: dict[str, object]) -> list[object] | None:
    """The list of objects that an object is written around; None if it is none, or not the only one."""
    lists = {
        name: items
        for name, items in value.items()
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items)
    }
    if layout({name: item for name, item in value.items() if name not in lists}) != "unknown":
        return None  # a record with a list in it
    named = [name for name in lists if name in _LISTS]
    if named and (set(lists) <= set(named)):
        return [item for name in named for item in lists[name]]
    return next(iter(lists.values())) if len(lists) == 1 and layout(value) == "unknown" else None


def _split(value: dict[str, object]) -> list[object] | None:
    """The rows of a table that pandas wrote with `orient="split"`; None if it is none."""
    names, data = value.get("columns"), value.get("data")
    if not isinstance(names, list) or not isinstance(data, list) or not set(value) <= {"columns", "index", "data"}:
        return None
    rows = [row for row in data if isinstance(row, list) and len(row) == len(names)]
    return [dict(zip(map(str, names), row, strict=True)) for row in rows] if len(rows) == len(data) else None


def _by_columns(value: dict[str, object]) -> list[object] | None:
    """The rows of a table that pandas wrote by columns, as objects or as lists; None if it is none."""
    tables: list[dict[object, object]] = []
    for column in value.values():
        if isinstance(column, dict) and all(name.isdecimal() for name in column):
            tables.append(column)
        elif isinstance(column, list) and len(value) > 1 and not any(isinstance(item, (dict, list)) for item in column):
            tables.append(dict(enumerate(column)))
        else:
            return None
    keys = list(tables[0])
    if not keys or any(list(table) != keys for table in tables):
        return None
    return [dict(zip(value, (table[key] for table in tables), strict=True)) for key in keys]
