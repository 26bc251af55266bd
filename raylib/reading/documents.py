"""The text of documents: a text, or title, question and answer."""

from __future__ import annotations

import functools

from raylib.errors import RecordError
from raylib.reading.fields import Fields, first_field, lacking, text_in
from raylib.reading.layouts import ANSWER_FIELDS, QUESTION_FIELDS, TEXT_FIELDS

__all__ = ["document_text"]


@functools.lru_cache(maxsize=4096)
def _document_fields(record: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a record's fields that hold a document's text."""
    found = first_field(record, TEXT_FIELDS)
    if found:
        return (found,)
    question, answer = first_field(record, QUESTION_FIELDS), first_field(record, ANSWER_FIELDS)
    if not (question or answer):
        return ()
    return tuple(n for n in ("title", question, answer) if n is not None and n in record)


def document_text(record: Fields, used: set[str], text_fields: tuple[str, ...]) -> str:
    """The text of a document.

    Args:
        record: The record.
        used: Names of fields; those that the text comes from are added.
        text_fields: Fields whose values, joined by newlines, are the text; if empty, the usual ones are looked for.

    Raises:
        RecordError: A field is missing or not a string, or all are empty.
    """
    names = text_fields or _document_fields(tuple(record))
    missing = [n for n in names if n not in record]
    if not names or missing:
        wanted = missing[0] if missing else "text"
        raise lacking(record, f"no field {wanted!r}")
    parts = [text_in(record, n, used) for n in names]
    text = "\n".join(p for p in parts if p)
    if not text.strip():
        raise RecordError("empty_text", f"field {'+'.join(names)} is empty")
    return text
