"""Fields of raw records: which are there, and what they hold. A field that is null counts as absent."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from raylib.errors import RecordError
from raylib.exact import dumps, loads

__all__ = [
    "Fields",
    "alternatives",
    "first_field",
    "lacking",
    "listed",
    "named",
    "optional_text",
    "present",
    "storable",
    "text_in",
    "type_name",
]

Fields = Mapping[str, object]
_TYPE_NAMES = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}
_NAMED = 12  # fields of a record that a message names


def present(record: Fields) -> Fields:
    """The fields that are there: what pandas or datasets wrote as null for records of another layout is not."""
    if None in record.values():
        return {name: value for name, value in record.items() if value is not None}
    return record


def first_field(record: Container[str], names: Iterable[str]) -> str | None:
    """The first of these fields that a record has."""
    for name in names:
        if name in record:
            return name
    return None


def text_in(record: Fields, name: str, used: set[str]) -> str:
    """The string in a field, which counts as used from then on."""
    value = record[name]
    used.add(name)
    if not isinstance(value, str):
        raise RecordError("wrong_type", f"field {name!r} should be a string, is {type_name(value)}")
    return value


def optional_text(record: Fields, name: str, used: set[str]) -> str:
    """The string in a field; empty if the field is missing."""
    return text_in(record, name, used) if name in record else ""


def listed(value: object) -> object:
    """The list that a JSON string spells, as columns of CSV and Parquet files hold one; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            parsed = loads(value)
        except RecordError:
            return value
        if isinstance(parsed, list):
            return parsed
    return value


def storable(value: object, where: str) -> None:
    """Refuse what cannot be kept as JSON: lone surrogates in a key, what is nested too deeply."""
    try:
        dumps(value)
    except RecordError as error:
        raise RecordError("bad_field", f"{where}: {error.detail}") from None


def type_name(value: object) -> str:
    """The type of a value in the words of JSON, for error messages."""
    return "null" if value is None else _TYPE_NAMES.get(type(value), type(value).__name__)


def named(record: Fields) -> str:
    """The fields of a record, for messages."""
    return ", ".join(sorted(map(str, record))[:_NAMED]) or "none"


def lacking(record: Fields, needed: str) -> RecordError:
    """The error for a record without the fields that its kind needs."""
    return RecordError("missing_field", f"{needed}; fields are {named(record)}")


def alternatives(names: Sequence[str]) -> str:
    """Names of which one is enough, for messages."""
    return " or ".join(repr(n) for n in names)
