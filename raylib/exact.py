"""JSON without loss: integers keep their digits whatever their size, and what is no number counts as null.

orjson turns integers over 64 bits into floats, and refuses NaN, Infinity and numbers too large for a float, all of
which other tools write. Such JSON is parsed a second time by the standard library.
"""

from __future__ import annotations

import codecs
import json
import math

import orjson

from raylib.errors import RecordError

__all__ = ["dumps", "has_lost_digits", "loads", "may_lose_digits", "second_opinion"]

_EXACT = 2.0**63  # integers of at least this size may be floats of orjson
_LONG = b"0" * 19  # 2^63 has 19 digits
_ZEROS = bytes(ord("0") if chr(byte).isdecimal() and byte < 0x80 else 0 for byte in range(256))
_DIGITS = 4000  # more than that Python does not convert to a number; they are kept as a string


def loads(data: bytes | str) -> object:
    """Parse JSON.

    Args:
        data: One value; bytes are UTF-8.

    Returns:
        The value; NaN, Infinity and numbers too large for a float are None.

    Raises:
        RecordError: This is no JSON; with a `reason` such as `bad_json`, `cut_line`, `nul_byte` or `bad_encoding`.
    """
    try:
        value: object = orjson.loads(data)
        if not has_lost_digits(value):
            return value
        complaint = "a number of too many digits"
    except orjson.JSONDecodeError as error:
        complaint = str(error)
    except RecursionError:
        complaint = "nested too deeply"
    return second_opinion(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"), complaint)


def may_lose_digits(data: bytes) -> bool:
    """Whether some digits in JSON may be an integer over 64 bits, by a look that is much faster than parsing.

    Args:
        data: JSON in any encoding that has digits as ASCII does.
    """
    return _LONG in data.translate(_ZEROS)


def has_lost_digits(value: object) -> bool:
    """Whether a value that orjson parsed holds a float that may have been an integer over 64 bits.

    Args:
        value: The value.

    Raises:
        RecursionError: It is nested too deeply.
    """
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return type(value) is float and abs(value) >= _EXACT
    for item in value:
        kind = type(item)
        if kind is str:
            continue
        if kind is float:
            if abs(item) >= _EXACT:
                return True
        elif (kind is dict or kind is list) and has_lost_digits(item):
            return True
    return False


def second_opinion(raw: bytes, complaint: str) -> object:
    """What orjson refuses or reads with loss but the standard library reads: NaN, huge numbers, lone surrogates.

    Args:
        raw: One value, in UTF-8.
        complaint: What orjson says against it.

    Returns:
        The value. Lone surrogates get through here; `coerce` names the field.

    Raises:
        RecordError: It is no JSON, with the exact reason.
    """
    if b"\x00" in raw:
        raise RecordError("nul_byte", f"NUL byte at byte {raw.index(0)} of the line")
    raw = raw.strip().removeprefix(codecs.BOM_UTF8)  # of files that were written one behind the other
    try:
        text = raw.decode("utf-8", "surrogatepass") if complaint.startswith("str") else raw.decode()
    except UnicodeDecodeError as error:
        raise RecordError("bad_encoding", f"not utf-8 at byte {error.start} of the line") from None
    try:
        value: object = json.loads(text, parse_constant=_no_number, parse_int=_integer, parse_float=_float)
    except RecursionError:
        raise RecordError("bad_json", "nested too deeply") from None
    except ValueError:
        cut = text.startswith("{") and not text.endswith("}")
        raise RecordError("cut_line" if cut else "bad_json", complaint) from None
    return value


def _no_number(_: str) -> None:
    """What NaN and Infinity stand for: nothing."""


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits.removeprefix("-")) <= _DIGITS else digits


def _float(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def dumps(value: object, *, sort: bool = False) -> str:
    """A value as JSON, with all digits of its integers.

    Args:
        value: What was parsed from JSON or from a table; of other types, the text is kept.
        sort: Whether the names of fields are sorted.

    Raises:
        RecordError: It holds a lone surrogate, or is nested too deeply.
    """
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS if sort else None).decode()
    except TypeError as error:
        complaint = str(error)
    try:
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str, sort_keys=sort)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        raise RecordError("bad_field", f"a field cannot be kept: {complaint}") from None
    return text


def _finite(value: object) -> object:
    """The value with null in place of NaN and Infinity, which are no JSON."""
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
