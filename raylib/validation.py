"""Values that users give, validated by pydantic: words as they were written, and problems in one line each."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import pydantic

from raylib.errors import nearest
from raylib.user_yaml import Where

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["explain", "with_words"]

Data = TypeVar("Data")
_WORDS = {True: ("yes", "on", "true"), False: ("no", "off", "false")}
_WAY_OF_A_UNION = re.compile(r"^(?:str|int|float|bool|none|(?:list|tuple|dict)\[.*\])$")
_MESSAGES = {
    "missing": "is missing",
    "string_type": "should be a text; put it in quotes",
    "list_type": "should be a list, such as [a, b]",
    "tuple_type": "should be a list, such as [a, b]",
    "dict_type": "should be a mapping, such as {key: value}",
    "model_type": "should be a mapping, such as {key: value}",
    "dataclass_type": "should be a mapping, such as {key: value}",
}


def with_words(validate: Callable[[Data], object], data: Data, where: Where, path: Sequence[object] = ()) -> Data:
    """Give options that want text the text that the user wrote, where YAML made a boolean or a number of it.

    Args:
        validate: Validates the data; raises pydantic's ValidationError.
        data: What YAML gives.
        where: Knows what was written.
        path: Path of the data in it.

    Returns:
        The data, changed where an option wants a text: `gpus: yes` is the word `yes`, `name: 1.10` the text `1.10`.
        What is wrong otherwise stays.
    """
    try:
        validate(data)
    except pydantic.ValidationError as error:
        changed: object = data
        for problem in error.errors():
            changed = _with_word(changed, problem, where, path)
        return changed  # type: ignore[return-value]  # the same containers, with other values
    return data


def _with_word(data: object, problem: ErrorDetails, where: Where, path: Sequence[object]) -> object:
    """The data with the text of the value that one problem is about, if it is a text that is missing."""
    value = problem["input"]
    if problem["type"] not in ("string_type", "literal_error") or not isinstance(value, (bool, int, float)):
        return data
    place = tuple(part for part in problem["loc"] if not _is_way(part))
    written = where.as_written(*path, *place)
    candidates = [written] if written is not None else []
    if problem["type"] == "literal_error":
        candidates += _WORDS[value] if isinstance(value, bool) else ()
        valid = _valid_words(problem)
        candidates = [word for word in candidates if word in valid]
    return _replaced(data, place, candidates[0]) if candidates else data


def _is_way(part: object) -> bool:
    """Whether a part of pydantic's place of a value is the member of a union, and no key."""
    return isinstance(part, str) and bool(_WAY_OF_A_UNION.match(part))


def _valid_words(problem: ErrorDetails) -> list[str]:
    """The words that an option may have, from pydantic's `'auto', 'yes' or 'no'`."""
    expected = str(problem.get("ctx", {}).get("expected", ""))
    return [str(ast.literal_eval(word)) for word in re.findall(r"'[^']*'|\"[^\"]*\"", expected)]


def _replaced(data: object, path: Sequence[object], value: object) -> object:
    """A copy of the data with another value at a path; the data itself if it has no such path."""
    if not path:
        return value
    key = path[0]
    if isinstance(data, Mapping) and key in data:
        return {**data, key: _replaced(data[key], path[1:], value)}
    if isinstance(data, (list, tuple)) and isinstance(key, int) and key < len(data):
        return [_replaced(item, path[1:], value) if i == key else item for i, item in enumerate(data)]
    return data


def explain(error: pydantic.ValidationError) -> str:
    """The problems of a validation in one line, each with its key and the value given.

    Args:
        error: What pydantic found.
    """
    problems: dict[str, str] = {}
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"] if not _is_way(p))
        value = item.get("input")
        message = _MESSAGES.get(item["type"], item["msg"].removeprefix("Value error, "))
        if item["type"] == "literal_error" and isinstance(value, str):
            hint = nearest(value, _valid_words(item))
            message += hint if "did you mean" in hint else ""
        given = "" if item["type"] == "missing" else f" (got {value!r})"
        problems.setdefault(where, f"{where}: {message}{given}" if where else message)
    return "; ".join(problems.values())
