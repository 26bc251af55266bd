"""What a chat template may make and do: an account of characters, rounds of loops and calls.

What could be large in one step is charged before it is done.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import jinja2

__all__ = [
    "CALL",
    "ITEM",
    "SMALL",
    "STEP",
    "TOO_MUCH",
    "TooMuchWork",
    "Value",
    "before",
    "charge",
    "charge_format",
    "charged_filter",
    "joined",
    "looped",
    "made",
    "watched",
]

Value: TypeAlias = Any  # of a template

_MOST = 1 << 28  # characters that a template may make of one conversation
_LONG_TEXT = 1 << 24  # characters of a finished text; a tokenizer needs many times their memory
_TIMES_THE_RECORD = 64  # instead of either: this many times the characters of the conversation, where that is more
STEP = 100  # a round of a loop, or a method, counts as this many characters
ITEM = 16  # an item of a list
CALL = 1000  # a macro
_WIDE = {  # widths of a million and more, and widths that are arguments
    "%": re.compile(r"%(?:\([^)]*\))?[-+ #0]*(?:\d{7}|\*|\d*\.(?:\d{7}|\*))"),
    "{": re.compile(r"\{[^{}]*:[^{}]*(?:\d{7}|\{)"),
}
_LONGEST_FORMAT, _MOST_FIELDS = 20_000, 256
# methods and filters whose result is no larger than what they are given
SMALL = frozenset(
    ["get", "items", "keys", "values", "strip", "lstrip", "rstrip", "startswith", "endswith", "lower", "removeprefix"]
    + ["removesuffix", "trim", "length", "count", "first", "last", "default", "d", "safe", "int", "float", "abs"]
)
_PADDED = frozenset(
    ["center", "ljust", "rjust", "zfill", "to_bytes", "expandtabs", "indent", "batch", "slice"] + ["wordwrap", "urlize"]
)
TOO_MUCH = "it loops for too long or builds a text that is too long"


class TooMuchWork(jinja2.TemplateError):
    """A template does or makes more than any template of a model does."""

    def __init__(self) -> None:
        super().__init__(TOO_MUCH)


class _Account(threading.local):
    """What the rendering in this thread may still do."""

    left: float = _MOST
    extra: Callable[[], int] | None = None
    size: Callable[[], int] | None = None  # of the record, also when `extra` is used up


_account = _Account()


def charge(amount: float) -> None:
    """Take from the account.

    Raises:
        TooMuchWork: Nothing is left.
    """
    _account.left -= amount
    if _account.left < 0:
        if _account.extra is not None:  # long records are rare, so that none is measured before
            _account.left += max(0, _account.extra() * _TIMES_THE_RECORD - _MOST)
            _account.extra = None
        if _account.left < 0:
            raise TooMuchWork


def made(value: Value) -> Value:
    """Charge a value that a template has made, with all that it holds: lists of lists are written out in the end."""
    kind = type(value)
    if kind is str:
        _account.left = left = _account.left - len(value)
        if left < 0:
            charge(0)
    elif kind in (list, tuple):
        charge(STEP + ITEM * len(value))
        for item in value:
            made(item)
    elif kind is dict:
        charge(STEP + ITEM * len(value))
        for key, item in value.items():
            made(key)
            made(item)
    elif hasattr(value, "__len__"):
        charge(len(value))
    return value


def looped(values: Value) -> Value:
    """Charge the rounds of a loop before it begins, or one by one where nobody knows how many there are."""
    if hasattr(values, "__len__"):
        charge((len(values) + 1) * STEP)
        return values
    return _counted(values) if isinstance(values, Iterator) else values


def _counted(values: Iterator[Any]) -> Iterator[Any]:
    for value in values:
        charge(STEP)
        yield value


def joined(pieces: Iterable[str]) -> str:
    """Pieces of the output as one text."""
    kept = []
    left = most = _account.left
    for piece in pieces:
        most -= len(piece)
        if most < 0:
            charge(left - most)
            left = most = _account.left
        kept.append(piece)
    _account.left -= left - most
    text = "".join(kept)
    if len(text) > _LONG_TEXT and _account.size and len(text) > _account.size() * _TIMES_THE_RECORD:
        raise TooMuchWork
    return text


def before(name: str, value: Value, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """Charge what a method or a filter is about to make.

    Args:
        name: Its name.
        value: The value that it belongs to.
        arguments: Its arguments.
        named: Its arguments by name.

    Returns:
        The arguments, with lists in place of what can be gone through once.
    """
    size = len(value) if hasattr(value, "__len__") else 1
    charge(size + STEP)
    given = (*arguments, *named.values())
    if name == "tojson":
        _charge_json(value, given)
    elif name in _PADDED:
        times = size if name in ("expandtabs", "indent") else 1
        charge(sum(abs(a) * times for a in given if isinstance(a, int)))
        charge(sum(len(a) * size for a in given if isinstance(a, str)))
    elif name == "replace" and type(value) in (str, bytes):
        texts = [a for a in given if isinstance(a, type(value))]
        if len(texts) > 1:
            found: int = value.count(texts[0])
            charge(found * len(texts[1]))
    elif name == "join" and isinstance(value, (str, bytes)) and arguments:
        arguments = (list(looped(arguments[0])), *arguments[1:])
        charge(size * len(arguments[0]) + sum(len(a) for a in arguments[0] if isinstance(a, (str, bytes))))
    elif name in ("format", "format_map") and isinstance(value, str):
        charge_format(value, "{", given)
    elif name == "sum" and isinstance(value, (list, tuple)) and any(isinstance(a, (list, tuple)) for a in given):
        charge(size * sum(len(v) for v in value if isinstance(v, (list, tuple))))  # each step copies what is there
    elif name == "translate":
        raise TooMuchWork
    return arguments


def charge_format(text: str, sign: str, given: Iterable[Value]) -> None:
    """Charge what a format is about to make, and refuse one whose result may be far larger than what it is given.

    Args:
        text: The format.
        sign: What its fields begin with.
        given: What the fields may show, any of them in each.

    Raises:
        TooMuchWork: It is one.
    """
    if len(text) > _LONGEST_FORMAT or text.count(sign) > _MOST_FIELDS or _WIDE[sign].search(text.replace("{{", "")):
        raise TooMuchWork
    charge(len(text) * STEP + text.count(sign) * sum(_weight(value) for value in given))


def _weight(value: object) -> int:
    """Number of characters that a value has as a text, about."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return sum(4 + _weight(k) + _weight(v) for k, v in value.items())
    return sum(4 + _weight(v) for v in value) if isinstance(value, (list, tuple)) else STEP


def _charge_json(value: object, given: tuple[Any, ...]) -> None:
    """Charge what stands between the values of JSON: indents, and separators of any length."""
    for argument in given:
        if isinstance(argument, str):
            _indented(value, len(argument))
        elif isinstance(argument, int) and not isinstance(argument, bool):
            _indented(value, abs(argument))
        elif isinstance(argument, (list, tuple)):
            _indented(value, sum(len(a) for a in argument if isinstance(a, str)), 1, deeper=0)


def _indented(value: object, indent: int, depth: int = 1, *, deeper: int = 1) -> None:
    """Charge the spaces before all values of a value as indented JSON."""
    charge(indent * depth)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for item in items:
        _indented(item, indent, depth + deeper, deeper=deeper)


def charged_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that charges what it takes and makes."""
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def charged(*arguments: Value, **named: Value) -> Value:
        value, rest = arguments[skipped] if len(arguments) > skipped else "", arguments[skipped + 1 :]
        if name == "join":
            return _joined_filter(function, arguments, named, skipped)
        if name == "format":
            charge_format(str(value), "%", (*rest, *named.values()))
        else:
            before(name, value, rest, named)
        return made(function(*arguments, **named))

    return charged


def _joined_filter(
    function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any], at: int
) -> object:
    """The filter `join`, whose separators are charged before."""
    if len(arguments) <= at:
        return function(*arguments, **named)
    values = list(looped(arguments[at]))
    separator = named.get("d", arguments[at + 1] if len(arguments) > at + 1 else "")
    charge(len(values) * (len(separator) if isinstance(separator, str) else 1))
    made([v for v in values if isinstance(v, (str, list, tuple, dict))])
    return function(*arguments[:at], values, *arguments[at + 1 :], **named)


class watched:  # noqa: N801 - used as a function
    """Give the rendering within a new account.

    Args:
        size: Tells how many characters the conversation has; asked of long ones alone.
    """

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size

    def __enter__(self) -> None:
        _account.left, _account.extra, _account.size = _MOST, self._size, self._size

    def __exit__(self, *_: object) -> None:
        _account.left, _account.extra, _account.size = _MOST, None, None
