"""Coercion of parsed records, in any known layout, to rows of a kind."""

from __future__ import annotations

from typing import TypeGuard

import orjson

from raylib.errors import RecordError
from raylib.reading.layouts import (
    ID_FIELDS,
    Fields,
    conversation_of,
    document_text,
    first_field,
    preference_of,
    safety_of,
    type_name,
)

__all__ = ["coerce", "plain_document"]


def _check_characters(value: object) -> None:
    """Refuse NUL bytes and lone surrogates: neither survives a tokenizer or a Parquet file unharmed."""
    if isinstance(value, str):
        if "\x00" in value:
            raise RecordError("nul_byte", f"NUL at character {value.index(chr(0))}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RecordError("lone_surrogate", f"lone surrogate at character {error.start}") from None
    elif isinstance(value, list):
        for item in value:
            _check_characters(item)
    elif isinstance(value, dict):
        for item in value.values():
            _check_characters(item)


def coerce(
    record: object, kind: str, *, default_id: str = "", default_source: str = "", text_fields: tuple[str, ...] = ()
) -> dict[str, object]:
    """Turn one parsed record into a row of `SCHEMAS[kind]`.

    Args:
        record: A mapping as parsed from a file, in any known layout (see `layout`).
        kind: One of `KINDS`.
        default_id: Id of a record that has none (the readers give `file:line`).
        default_source: Source of a record that has none.
        text_fields: For documents, the fields whose values, joined by newlines, are the text; by default the first
            of text, content, raw_content, body, ..., or title+question+answer.

    Returns:
        A value for every column of the schema.

    Raises:
        RecordError: The record cannot be coerced; with a short `reason` (missing_field, wrong_type, unknown_layout,
            empty_text, nul_byte, lone_surrogate, not_an_object) and the field in `detail`.
    """
    if not isinstance(record, dict):
        raise RecordError("not_an_object", f"expected an object, got {type_name(record)}")
    used: set[str] = {"meta", "source"}
    if kind == "document":
        row: dict[str, object] = {"text": document_text(record, used, text_fields)}
    elif kind == "conversation":
        row = {"messages": conversation_of(record, used)}
    elif kind == "preference":
        row = preference_of(record, used)
    else:
        row = {"messages": safety_of(record, used), "category": _category(record, used)}
    for value in row.values():
        _check_characters(value)
    row["id"] = _identifier(record, used) or default_id
    source = record.get("source")
    row["source"] = source if isinstance(source, str) and source else default_source
    if source is not None and not isinstance(source, str):
        used.discard("source")
    row["meta"] = _meta(record, used)
    return row


_PLAIN = ({"id", "text", "source"}, {"id", "text"}, {"text", "source"}, {"text"})


def plain_document(record: object) -> TypeGuard[dict[str, str]]:
    """Whether a record is `{id, source, text}` of strings as orjson gives them, so that nothing needs coercion.

    Nine in ten documents look like this; the short cut reads them four times faster.
    """
    if type(record) is not dict or record.keys() not in _PLAIN:
        return False
    if any(type(v) is not str for v in record.values()):
        return False
    text = record["text"]
    return not (not text or text.isspace() or "\x00" in text or not record.get("id", "x"))


def _category(record: Fields, used: set[str]) -> str | None:
    """The category of a safety record."""
    field = first_field(record, ("category", "type", "typical", "label"))
    if field is None or record[field] is None:
        return None
    used.add(field)
    return str(record[field])


def _identifier(record: Fields, used: set[str]) -> str:
    """The id of a record as a string; empty if it has none."""
    field = first_field(record, ID_FIELDS)
    value = record.get(field) if field else None
    if value is None or isinstance(value, (dict, list, float)):
        return ""
    used.add(str(field))
    identifier = str(value)
    _check_characters(identifier)
    return identifier


def _meta(record: Fields, used: set[str]) -> str | None:
    """`meta` and all fields that were not used, as a JSON string."""
    extra = {k: v for k, v in record.items() if k not in used}
    meta = record.get("meta")
    if isinstance(meta, str) and not extra:
        return meta
    if meta is not None:
        parsed = meta
        if isinstance(meta, str):
            try:
                parsed = orjson.loads(meta)
            except orjson.JSONDecodeError:
                parsed = meta
        if not extra and isinstance(parsed, dict):
            return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS).decode()
        extra = {**(parsed if isinstance(parsed, dict) else {"meta": parsed}), **extra}
    if not extra:
        return None
    try:
        return orjson.dumps(extra, default=str).decode()
    except TypeError as error:  # integers over 64 bits, surrogates in a key
        raise RecordError("bad_field", f"an extra field cannot be kept: {error}") from None
