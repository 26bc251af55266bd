"""Numbers of people: how their digits are written, and their checksums."""

from __future__ import annotations

import re
from datetime import date

__all__ = ["digits", "is_bank_card", "is_credit_code", "is_id_card", "plain_digits", "valid_date"]

_CIRCLED = {
    "⓪": "0",
    "⓿": "0",
    **{chr(0x2460 + i): str(i + 1) for i in range(9)},
    **{chr(0x2776 + i): str(i + 1) for i in range(9)},
}
_NUMERALS = dict(zip("零〇○一二三四五六七八九壹贰叁肆伍陆柒捌玖幺", "000123456789123456789" + "1", strict=True))
_WIDE = {chr(c): chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F) if chr(c) not in "，：；（）！？"}
_PLAIN = str.maketrans({**_CIRCLED, **_WIDE})
_TO_TRANSLATE = re.compile(f"[{re.escape(''.join([*_CIRCLED, *_WIDE]))}]")
_NUMERAL_RUN = re.compile(f"[{''.join(_NUMERALS)}][{''.join(_NUMERALS)} -]{{5,}}[{''.join(_NUMERALS)}]")
_NUMERAL_TABLE = str.maketrans(_NUMERALS)


def plain_digits(text: str) -> str:
    """The text with full-width and circled digits, and runs of seven or more Chinese numerals, as plain digits.

    Args:
        text: The text; the result has the same length.
    """
    plain = text.translate(_PLAIN) if _TO_TRANSLATE.search(text) else text
    return _NUMERAL_RUN.sub(lambda m: m[0].translate(_NUMERAL_TABLE), plain)


def valid_date(year: str, month: str, day: str) -> bool:
    """Whether three numbers make a date between 1850 and 2100."""
    try:
        return 1850 <= date(int(year), int(month), int(day)).year <= 2100
    except ValueError:
        return False


def is_id_card(number: str) -> bool:
    """Whether 18 characters make an ID card number: birth date and check character (GB 11643, ISO 7064 MOD 11-2)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(d) * w for d, w in zip(number[:17], weights, strict=True))
    return valid_date(number[6:10], number[10:12], number[12:14]) and "10X98765432"[total % 11] == number[17].upper()


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
    if not set(code) <= set(_CREDIT_ALPHABET):
        return False
    total = sum(_CREDIT_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(code[:17]))
    return _CREDIT_ALPHABET[(31 - total % 31) % 31] == code[17]


def digits(text: str) -> str:
    """The digits of a number, and an X, without what separates them."""
    return re.sub(r"[^0-9Xx]", "", text)
