"""Coercion of parsed records, in any known layout, to rows of a kind."""

from __future__ import annotations

from typing import TypeGuard

from raylib.errors import RecordError
from raylib.exact import dumps, loads
from raylib.reading.conversations import conversation_of, safety_of, tools_of
from raylib.reading.documents import document_text
from raylib.reading.fields import Fields, first_field, present, type_name
from raylib.reading.layouts import ID_FIELDS
from raylib.reading.preferences import feedback_of, preference_of

__all__ = ["REASONS", "coerce", "plain_document"]

REASONS = {
    "answer_not_assistant": "What should be an answer does not begin and end with a message of the assistant.",
    "bad_field": "A field that should be kept cannot be: it holds a lone surrogate, or is nested too deeply.",
    "empty_text": "There is no text in it.",
    "equal_answers": "The chosen and the rejected answer are the same.",
    "feedback": "A label says whether the answer is good: the record belongs to kind feedback.",
    "histories_differ": "The chosen and the rejected dialogue differ before their answers.",
    "lone_surrogate": "A text holds half of a surrogate pair, which is no character.",
    "missing_field": "A field is missing, or the content of a message that has no calls of tools and no reasoning.",
    "no_prompt": "There is nothing before the answer.",
    "not_an_object": "The record is not an object.",
    "nul_byte": "A text holds a NUL.",
    "preference": "The record has two answers: it belongs to kind preference.",
    "prompt_differs": "The prompt is neither the first nor the last question of the dialogues beside it.",
    "prompt_ends_with_answer": "The prompt ends with a message of the assistant.",
    "tie": "The record says that neither answer is the better one.",
    "unknown_layout": "No known layout; the detail lists the fields that were seen and names the nearest layout.",
    "wrong_type": "A field has another type than it should have, or is not JSON.",
    "wrong_value": "A value is none of those that it may be: a role, a flag, a label.",
}
"""Why a record may be refused, by the reason that its reject carries."""


def _check_text(text: str) -> None:
    """Refuse NUL bytes and lone surrogates: neither survives a tokenizer or a Parquet file unharmed."""
    if "\x00" in text:
        raise RecordError("nul_byte", f"NUL at character {text.index(chr(0))}")
    if not text.isascii():
        _check_surrogates(text)


def _check_surrogates(text: str) -> None:
    """Refuse what cannot be stored as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecordError("lone_surrogate", f"lone surrogate at character {error.start}") from None


def _check_characters(value: object) -> None:
    """Check every text in a value."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _check_characters(item)
    elif isinstance(value, dict):
        for item in value.values():
            if type(item) is str:  # as nearly all values of messages are
                _check_text(item)
            else:
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
        RecordError: The record cannot be coerced; with a short `reason` of `REASONS` and the field in `detail`.
    """
    if not isinstance(record, dict):
        raise RecordError("not_an_object", f"expected an object, got {type_name(record)}")
    record = present(record)
    used: set[str] = {"meta", "source"}
    row = _columns(record, kind, used, text_fields)
    for value in row.values():
        _check_characters(value)
    row["id"] = _identifier(record, used) or default_id
    source = record.get("source")
    if source is None and kind != "document" and "问" in record and isinstance(record.get("来源"), str):
        source = record["来源"]
        used.add("来源")
    if isinstance(source, str):
        _check_surrogates(source)
    row["source"] = source if isinstance(source, str) and source else default_source
    if source is not None and not isinstance(source, str):
        used.discard("source")
    row["meta"] = _meta(record, used)
    return row


def _columns(record: Fields, kind: str, used: set[str], text_fields: tuple[str, ...]) -> dict[str, object]:
    """The columns that are the kind's own."""
    if kind == "document":
        return {"text": document_text(record, used, text_fields)}
    if kind == "safety":
        return {"messages": safety_of(record, used), "category": _category(record, used)}
    if kind == "conversation":
        row: dict[str, object] = {"messages": conversation_of(record, used)}
    else:
        row = preference_of(record, used) if kind == "preference" else feedback_of(record, used)
    row["tools"] = tools_of(record, used)
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
    if field is None:
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
    _check_text(identifier)
    return identifier


def _meta(record: Fields, used: set[str]) -> str | None:
    """`meta` and all fields that were not used, as a JSON string."""
    extra = {k: v for k, v in record.items() if k not in used}
    meta = record.get("meta")
    if isinstance(meta, str) and not extra:
        _check_surrogates(meta)
        return meta
    if meta is not None:
        parsed = meta
        if isinstance(meta, str):
            try:
                parsed = loads(meta)
            except RecordError:
                parsed = meta
        if not extra and isinstance(parsed, dict):
            return dumps(parsed, sort=True)
        extra = {**(parsed if isinstance(parsed, dict) else {"meta": parsed}), **extra}
    if not extra:
        return None
    return dumps(extra)
