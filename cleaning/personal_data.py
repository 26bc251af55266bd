"""Personal data: find candidates by shape, then believe them only if their checksum or context holds."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
from cleaning.texts import rewrite_each

__all__ = ["Kind", "remove_personal_data"]

Kind = Literal["email", "id_card", "bank_card", "credit_code", "mobile", "landline", "account", "ip"]


def _valid_date(year: str, month: str, day: str) -> bool:
    try:
        return 1850 <= date(int(year), int(month), int(day)).year <= 2100
    except ValueError:
        return False


def is_id_card(number: str) -> bool:
    """Whether 18 characters make an ID card number: a valid birth date and check character (GB 11643, ISO 7064 MOD 11-2)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(d) * w for d, w in zip(number[:17], weights, strict=True))
    return _valid_date(number[6:10], number[10:12], number[12:14]) and "10X98765432"[total % 11] == number[17].upper()


def is_bank_card(number: str) -> bool:
    """Whether 15 to 19 digits satisfy the Luhn rule (ISO/IEC 7812) and begin as issued cards do."""
    if len(set(number)) == 1 or number[0] not in "34569":
        return False
    total = 0
    for i, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if i % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def is_credit_code(code: str) -> bool:
    """Whether 18 characters make a unified social credit code: its check character holds (GB 32100, MOD 31)."""
    total = sum(_CREDIT_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(code[:17]))
    return _CREDIT_ALPHABET[(31 - total % 31) % 31] == code[17]


def is_ipv4(address: str) -> bool:
    """Whether four numbers make an IPv4 address: none over 255, none with leading zeros, the first not 0."""
    parts = address.split(".")
    return all(int(p) <= 255 and (p == "0" or p[0] != "0") for p in parts) and int(parts[0]) > 0


def _digits(text: str) -> str:
    return re.sub(r"[\s\-]", "", text)


_VERSION = re.compile(r"(?i)(?:版本|version|ver\.?|v|第)\s?$")


def _after_version(match: re.Match[str]) -> bool:
    """Whether a match follows a word for a version."""
    return _VERSION.search(match.string[max(0, match.start() - 9) : match.start()]) is not None


@dataclass(frozen=True)
class _Finder:
    """How to find one kind of personal data, and which matches to believe."""

    kind: Kind
    candidate: str  # RE2: a cheap test that every match passes
    pattern: re.Pattern[str]
    valid: Callable[[re.Match[str]], bool] = lambda match: True


_NOT_IN_NUMBER = r"(?<![0-9A-Za-z.,\-_/=])"
_NUMBER_ENDS = r"(?![0-9A-Za-z]|[.,\-_/][0-9])"

# Long before short: an ID card holds what looks like a bank card, a bank card what looks like a mobile.
_FINDERS = (
    _Finder(
        "email",
        r"@[A-Za-z0-9\-]+\.",
        re.compile(
            r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9_%+\-](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9_%+\-])?"
            r"@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])"
        ),
    ),
    _Finder(
        "id_card",
        r"[0-9]{17}[0-9Xx]",
        re.compile(rf"{_NOT_IN_NUMBER}[1-9]\d{{5}}(?:18|19|20)\d{{2}}[01]\d[0-3]\d{{4}}[0-9Xx](?![0-9A-Za-z])"),
        lambda m: is_id_card(m[0]),
    ),
    _Finder(
        "credit_code",
        r"[0-9ANY][0-9A-Z][0-9]{6}[0-9A-Z]{10}",
        re.compile(r"(?<![0-9A-Za-z])[0-9ANY][0-9A-Z]\d{6}[0-9A-HJ-NP-RTUW-Y]{10}(?![0-9A-Za-z])"),
        lambda m: set(m[0]) <= set(_CREDIT_ALPHABET) and is_credit_code(m[0]),
    ),
    _Finder(
        "bank_card",
        r"[0-9]{4}[ \-]?[0-9]{4}[ \-]?[0-9]{4}[ \-]?[0-9]{3}",
        re.compile(rf"{_NOT_IN_NUMBER}\d{{4}}([ \-]?)\d{{4}}\1\d{{4}}\1\d{{3,4}}(?:\1\d{{1,3}})?{_NUMBER_ENDS}"),
        lambda m: 15 <= len(_digits(m[0])) <= 19 and is_bank_card(_digits(m[0])),
    ),
    _Finder(
        "mobile",
        r"1[3-9][0-9][ \-]?[0-9]{4}[ \-]?[0-9]{4}",
        re.compile(
            r"(?<![0-9A-Za-z.,_/=])(?<![0-9]-)(?:(?:\+|00)?86[ \-]?)?1[3-9]\d([ \-]?)\d{4}\1\d{4}" + _NUMBER_ENDS
        ),
    ),
    _Finder(
        "landline",
        r"[(（]0[0-9]{2,3}[)）]|0[0-9]{2,3}[ \-][2-9]|[48]00[ \-][0-9]",
        re.compile(
            r"(?<![0-9A-Za-z.,\-_/=])(?:(?:\+|00)86[ \-]?)?"
            r"(?:[(（]0\d{2,3}[)）][ \-]?[2-9]\d{6,7}|0(?:10|2\d|[3-9]\d{2})[ \-][2-9]\d{6,7}|400[ \-]\d{3}[ \-]?\d{4}"
            r"|400[ \-]\d{4}[ \-]\d{3}|800[ \-]\d{3}[ \-]\d{4})(?:[ \-转]{1,2}\d{1,5})?" + _NUMBER_ENDS
        ),
    ),
    _Finder(
        "account",
        r"(?i)(?:[微威薇v]信|wechat|qq|扣扣|企鹅)[^\n]{0,12}[a-z0-9]",
        re.compile(
            r"(?:加?(?:微信|威信|薇信|[Vv]信|[Ww]e[Cc]hat)(?:号|账号|帐号|公众号|ID|id)?|(?:扣扣|[Qq]{2}|企鹅)(?:号|群)?)"
            r"[ \t]*[:：=是为]?[ \t]*"
            r"(?P<account>[A-Za-z][\-_A-Za-z0-9]{5,19}|[1-9]\d{4,11})(?![0-9A-Za-z])"
        ),
        lambda m: not m["account"].isalpha() or len(m["account"]) < 6 or any(c in m[0] for c in ":：号"),
    ),
    _Finder(
        "ip",
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        re.compile(r"(?<![0-9.A-Za-z])(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z]|\.[0-9])"),
        lambda m: is_ipv4(m[0]) and not _after_version(m),
    ),
)
_KINDS: tuple[Kind, ...] = tuple(f.kind for f in _FINDERS)


@rewrite(
    examples=(
        ("邮箱 a.b@example.com 电话+86 139-0000-0000。", "邮箱  电话。"),
        (
            "编号1234567890，2023-08-14 12:30，ISBN 978-7-111-40701-0",
            "编号1234567890，2023-08-14 12:30，ISBN 978-7-111-40701-0",
        ),
        ("加微信号：abc_12345了解", "加了解"),
    )
)
def remove_personal_data(
    texts: pa.Array,
    *,
    mode: Literal["remove", "placeholder"] = "remove",
    kinds: tuple[Kind, ...] = _KINDS,
) -> pa.Array:
    """Remove personal data, or replace it by a typed placeholder such as `<mobile>`.

    Found are e-mail addresses; ID cards (18 digits with a valid birth date and check character, GB 11643); unified
    social credit codes (check character, GB 32100); bank cards of 15 to 19 digits (Luhn); mainland mobiles with or
    without +86; landlines with an area code; WeChat and QQ ids after 微信, QQ, 扣扣; IPv4 addresses. A number inside
    a longer number, an ISBN, a date, a price or a formula stays.

    Args:
        texts: String array.
        mode: Whether personal data is removed or replaced by a placeholder.
        kinds: Kinds of personal data that are looked for.
    """
    for finder in _FINDERS:
        if finder.kind in kinds:
            mark = "" if mode == "remove" else f"<{finder.kind}>"
            hit = pc.match_substring_regex(texts, finder.candidate)
            scrub = functools.partial(_scrubbed, finder=finder, mark=mark)
            texts = rewrite_each(texts, functools.partial(finder.pattern.sub, scrub), where=hit)
    return texts


def _scrubbed(match: re.Match[str], *, finder: _Finder, mark: str) -> str:
    """The mark in place of a match; the match itself if it is not to be believed."""
    if not finder.valid(match):
        return match[0]
    if finder.kind == "account" and match[0].startswith("加"):
        return "加" + mark
    return mark
