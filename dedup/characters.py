"""What single characters become at each level of folding, and to which class they belong.

Everything here is about one character at a time; what depends on neighbours is in `dedup.gaps`.
"""

from __future__ import annotations

import functools
import unicodedata
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "DECORATIONS",
    "DROP",
    "EXPAND",
    "SPECIAL",
    "Class",
    "Level",
    "classes",
    "expansions",
    "form",
    "forms",
    "lower_case",
]

Level: TypeAlias = Literal["none", "strict", "standard", "loose"]
"""How much folding ignores. What is equal at one level is equal at all later ones; `none` ignores nothing."""

DROP = 0
SPECIAL = 0xFFFFFFFF
"""Stands for a character whose form depends on others, such as a combining mark."""
EXPAND = 0x80000000
"""Stands for the first character that becomes several, such as ㎏, and greater values below `SPECIAL` for others."""


class Class(IntEnum):
    """What a folded character is, where it stands between others. From `SPACE` on, it may be left out."""

    WIDE = 0  # Han and kana: words without white space
    LETTER = 1
    DIGIT = 2
    SIGN = 3  # operators, currency, percent, #, /, hyphens and minus: never left out
    SPACE = 4
    PAUSE = 5  # 。、《》 and other marks that only divide words
    COMMA = 6  # , ;
    DOT = 7
    BANG = 8
    INNER = 9  # : ? ' " ·, which are part of 12:30, don't and a?b
    BRACKET = 10
    DASH = 11  # the long one of Chinese and English sentences


# compatibility forms that differ in shape only; x² is not x2, and 1½ is not 11/2
_SHAPES = frozenset({"<wide>", "<narrow>", "<small>", "<vertical>", "<initial>", "<medial>", "<final>", "<isolated>"})
_MEANT = frozenset({"<super>", "<sub>", "<fraction>"})
_HYPHENS = dict.fromkeys(map(ord, "‐‑−"), "-")


def _by_code(marks_of: dict[str, str]) -> dict[int, str]:
    """What each mark becomes, by its code point."""
    return {ord(mark): plain for plain, marks in marks_of.items() for mark in marks}


_VARIANTS = _HYPHENS | _by_code(
    {
        '"': "“”„‟『』「」",
        "'": "‘’‚‛",
        "[": "【〔〖",
        "]": "】〕〗",
        "-": "–‒",
        "—": "―⸺",
        "~": "〜",
    }
)
# In shingles marks stay, and those of the same meaning become one.
_UNIFIED = _by_code(
    {
        ".": "。…",
        ",": "、",
        '"': "“”„‟″『』「」",
        "'": "‘’‚‛′",
        "<": "《〈«",
        ">": "》〉»",
        "[": "【〔",
        "]": "】〕",
        "-": "—–‐‑−",
        "~": "～〜",
    }
)
_MARKS = {
    **dict.fromkeys(",;", Class.COMMA),
    **dict.fromkeys("·:?'\"", Class.INNER),
    **dict.fromkeys("()[]{}", Class.BRACKET),
    ".": Class.DOT,
    "!": Class.BANG,
    "—": Class.DASH,
}
_SIGNS = frozenset("#%&*@/\\-~_‰‱′″‴§†‡")
_STRICT_PAUSES = frozenset("、。《》〈〉")
_TELLING = frozenset("✓✔✕✖✗✘➕➖➗") | {chr(c) for c in (*range(0x2753, 0x2758), *range(0x2776, 0x2794))}
DECORATIONS = frozenset("■□▪▫◆◇●") | {chr(c) for c in range(0x2600, 0x27C0)} - _TELLING
"""Symbols of the BMP that only adorn a text, which ticks, crosses, operators and numbers do not; emoji lie above it."""


def _decomposed(character: str, level: Level) -> str:
    """A character without what the level ignores of its shape."""
    mapping = unicodedata.decomposition(character)
    tag, _, codes = mapping.partition(" ")
    if not tag.startswith("<"):
        return unicodedata.normalize("NFC", character)
    inner = [chr(int(code, 16)) for code in codes.split()]
    shape = tag in _SHAPES or (tag == "<noBreak>") or (level != "strict" and tag not in _MEANT)
    if not shape or (inner[0] == " " and len(inner) > 1):  # ´ is no space with an accent
        return character
    plain = "".join(_decomposed(c, level) for c in inner)
    is_number_apart = tag in ("<circle>", "<compat>") and plain.rstrip(".")[-1:].isdecimal()
    return f" {plain} " if is_number_apart else plain  # ① and ⒈ in front of a 5 are no 15 and no 1.5


@functools.lru_cache(maxsize=1 << 14)
def form(character: str, level: Level, *, marks: bool = False) -> str:
    """What a character becomes; empty for one that is left out wherever it stands. Case stays, unless it takes two.

    Args:
        character: The character.
        level: How much is ignored.
        marks: Whether marks of the same meaning become one, as in shingles.
    """
    if level == "none":
        return character
    code = ord(character)
    if level == "strict":
        character = _HYPHENS.get(code, character)
    else:
        character = (_UNIFIED if marks else _VARIANTS).get(code, character)
    out = []
    for c in character if character in "…‥" and not marks else _decomposed(character, level):
        category = unicodedata.category(c)
        if c.isspace():
            out.append(c if level == "strict" and not marks and c in "\n\t" else " ")
        elif not (category in ("Cc", "Cf") or "\ufe00" <= c <= "\ufe0f"):
            changed = c if level == "strict" or len(c.casefold()) == 1 else c.casefold()
            out.append((_UNIFIED if marks and level != "strict" else {}).get(ord(c), changed))
    return "".join(out)


@functools.lru_cache(maxsize=8)
def forms(level: Level, marks: bool) -> npt.NDArray[np.uint32]:
    """What each code point of the BMP becomes: a code point, `DROP`, `SPECIAL` or, from `EXPAND` on, several, [65536].

    Args:
        level: How much is ignored.
        marks: Whether marks of the same meaning become one.
    """
    table, expanding = np.arange(0x10000, dtype=np.uint32), 0
    for code in range(0xFFFF):
        if 0xD800 <= code <= 0xDFFF or 0x4E00 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7A3:
            continue
        character = chr(code)
        folded = form(character, level, marks=marks)
        if folded and (_combines(character) or any(map(_combines, folded))):
            table[code] = SPECIAL
        elif len(folded) > 1:
            table[code] = EXPAND + expanding
            expanding += 1
        elif not folded:
            table[code] = DROP
        else:
            table[code] = ord(folded)
    table[0xFFFF] = SPECIAL
    return table


@functools.lru_cache(maxsize=8)
def expansions(level: Level, marks: bool) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """What the characters become that become several, in the order of their numbers in `forms`.

    Args:
        level: How much is ignored.
        marks: Whether marks of the same meaning become one.

    Returns:
        Code points, and where those of each character begin, and at the end where the last one's end.
    """
    table = forms(level, marks)
    pieces = [form(chr(code), level, marks=marks) for code in np.flatnonzero((table >= EXPAND) & (table < SPECIAL))]
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    return np.frombuffer("".join(pieces).encode("utf-32-le"), np.uint32), np.concatenate([[0], ends])


def _combines(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or 0x1100 <= ord(character) <= 0x11FF


def _class_of(character: str, level: Level) -> Class:
    if character.isspace():
        return Class.SPACE
    code, category = ord(character), unicodedata.category(character)
    if "\u2e80" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff":
        wide = category[0] in "LNM" or code == 0x3007 or (level == "strict" and character in _STRICT_PAUSES)
        if wide:
            return Class.WIDE
    if category[0] in "LM":
        return Class.LETTER
    if category[0] == "N":
        return Class.DIGIT
    if level == "strict" or character in _SIGNS or category[0] != "P" or category in ("Pc", "Pd"):
        return _MARKS.get(character, Class.SIGN) if level != "strict" else Class.SIGN
    return _MARKS.get(character, Class.PAUSE)


@functools.lru_cache(maxsize=3)
def classes(level: Level) -> npt.NDArray[np.uint8]:
    """The class of each code point of the BMP, and at its end that of all above it, [65536].

    Args:
        level: How much is ignored; at `strict` only white space may be left out.
    """
    known: Level = "strict" if level == "strict" else "standard"
    table = np.full(0x10000, Class.WIDE, np.uint8)
    for code in range(0xFFFF):
        if not (0x4E00 <= code <= 0x9FFF or 0xD800 <= code <= 0xDFFF):
            table[code] = _class_of(chr(code), known)
    table[0xD800:0xE000] = Class.SIGN
    table[0xFFFF] = Class.SIGN
    return table


@functools.lru_cache(maxsize=1)
def lower_case() -> npt.NDArray[np.uint16]:
    """The case-folded form of each code point of the BMP, where it is one, [65536]."""
    table = np.arange(0x10000, dtype=np.uint16)
    for code in range(0xFFFF):
        if not (0x4E00 <= code <= 0x9FFF or 0xD800 <= code <= 0xDFFF):
            folded = chr(code).casefold()
            if len(folded) == 1 and ord(folded) < 0x10000:
                table[code] = ord(folded)
    return table
