"""Rules that bring characters to one form: widths, numbers and damaged encodings."""

from __future__ import annotations

import contextlib
import functools
import re
import unicodedata
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import translate
from cleaning.declare import rewrite
from cleaning.protected import LITERAL, outside
from cleaning.texts import rewrite_each

__all__ = ["fix_encoding", "normalise_characters"]

_KEPT_WIDE = "，！？：；（）～"
_BRACKETS = dict(zip("❨❩⟨⟩｟｠﹙﹚﹝﹞〘〙⦅⦆⁅⁆❲❳❴❵〚〛", "()<>()()()()()[](){}[]", strict=True))
_DOTS = {"․": ".", "‥": "..", "•": "·", "∙": "·", "⋅": "·", "・": "·", "･": "·", "‧": "·", "｡": "。", "､": "、"}
_GREEK_CYRILLIC = dict(
    zip(
        "αβγεηικμνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧавезикмнорстухАВЕЗКМНОРСТУХіІѕЅјЈ",
        "abyenikmuoptuxwABEZHIKMNOPTYXabe3ukmhopctyxABE3KMHOPCTYXiIsSjJ",
        strict=True,
    )
) | {"µ": "u", "μ": "u", "ν": "v"}
_INVISIBLE = (
    "\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\u00ad"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u180e"
)
_ESCAPES = r"<(?i:U\+)?(?i:200[b-f]|feff|2060|00ad|202[a-e]|00a0)>"
_CHINESE_NUMBERS = "一二三四五六七八九十"


def _number_signs() -> dict[str, str]:
    signs: dict[str, str] = {}
    for first, count, start in (
        (0x2460, 20, 1),  # circled
        (0x2474, 20, 1),  # parenthesised
        (0x2488, 20, 1),  # with full stop
        (0x24EB, 10, 11),  # negative circled 11..20
        (0x24F5, 10, 1),  # double circled
        (0x2776, 10, 1),  # dingbat negative circled
        (0x2780, 10, 1),
        (0x278A, 10, 1),
        (0x3251, 15, 21),
        (0x32B1, 15, 36),
    ):
        for i in range(count):
            signs[chr(first + i)] = str(start + i)
    signs |= {"⓪": "0", "⓿": "0"}
    for i in range(26):
        signs[chr(0x249C + i)] = chr(ord("a") + i)
        signs[chr(0x24B6 + i)] = chr(ord("A") + i)
        signs[chr(0x24D0 + i)] = chr(ord("a") + i)
    for i, number in enumerate(_CHINESE_NUMBERS):
        signs[chr(0x3220 + i)] = number
        signs[chr(0x3280 + i)] = number
    for i in range(0x2160, 0x2180):  # Roman numeral signs
        signs[chr(i)] = unicodedata.normalize("NFKC", chr(i))
    return signs


def _accents() -> dict[str, str]:
    plain: dict[str, str] = {}
    for code in (*range(0xC0, 0x180), *range(0x1CD, 0x1DD), *range(0x1F8, 0x220)):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base.isascii() and base.isalpha() and chr(code) != "İ":
            plain[chr(code)] = base
    return plain


@functools.lru_cache(maxsize=8)
def _replacements(punctuation: str, lookalikes: bool, signs: bool) -> tuple[dict[str, str], re.Pattern[str], str]:
    table = {chr(c): chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}
    if punctuation == "keep":
        for mark in _KEPT_WIDE:
            del table[mark]
    else:
        table["。"] = "."
    table["\u3000"] = " "
    table["\u00a0"] = " "
    table |= _BRACKETS | _DOTS
    if signs:
        table |= _number_signs()
    if lookalikes:
        table |= _accents() | _GREEK_CYRILLIC
    table |= dict.fromkeys(_INVISIBLE, "")
    pattern = "[" + "".join(map(re.escape, table)) + "]"
    re2 = "[" + "".join(f"\\x{{{ord(c):x}}}" for c in table) + "]|" + _ESCAPES
    return table, re.compile(f"{pattern}|{_ESCAPES}"), re2


@functools.lru_cache(maxsize=8)
def _single_replacements(punctuation: str, lookalikes: bool, signs: bool) -> npt.NDArray[np.uint32]:
    """The one-to-one replacements as a table over the BMP."""
    table = np.arange(0x10000, dtype=np.uint32)
    for old, new in _replacements(punctuation, lookalikes, signs)[0].items():
        if len(old) == len(new) == 1:
            table[ord(old)] = ord(new)
    return table


@rewrite(
    examples=(
        ("ＡＢ１①3个月（一）β μ é，", "AB1①3个月（一）β μ é，"),
        ("第\u3000条 价格＄５", "第 条 价格$5"),
    )
)
def normalise_characters(
    texts: pa.Array,
    *,
    punctuation: Literal["keep", "half"] = "keep",
    lookalikes: bool = False,
    signs: bool = False,
) -> pa.Array:
    """Bring characters to their plain form, outside code, formulas and addresses.

    Full-width letters, digits and ASCII punctuation become half-width; the ideographic space and the no-break space
    become a space. Exotic brackets and dots become ordinary ones. Zero-width characters, byte order marks and textual
    escapes such as `<200b>` are removed. The result is in NFC.

    Args:
        texts: String array.
        punctuation: Whether Chinese punctuation ，。！？：；（）～ stays (`keep`) or becomes half-width (`half`).
        lookalikes: Whether Greek and Cyrillic look-alikes and accented Latin letters become plain Latin letters, which
            turns μ into u and Москва into Mockba.
        signs: Whether circled, parenthesised and Roman-numeral signs become plain numbers or letters, which turns
            ①3个月 into 13个月.
    """
    return outside(texts, lambda free: _plain(free, punctuation, lookalikes, signs), LITERAL)


def _plain(texts: pa.Array, punctuation: str, lookalikes: bool, signs: bool) -> pa.Array:
    table, pattern, re2 = _replacements(punctuation, lookalikes, signs)

    def plain(match: re.Match[str]) -> str:
        return table.get(match[0], "")

    # NFC first: characters composed by it may be in the table. ASCII and Han text is NFC already,
    # only combining marks (and a few compatibility forms) need the slow path.
    combining = pc.match_substring_regex(
        texts, r"[\x{300}-\x{36f}\x{3099}\x{309a}\x{1100}-\x{11ff}\x{f900}-\x{faff}\x{2126}\x{212a}\x{212b}]"
    )
    texts = rewrite_each(texts, lambda s: unicodedata.normalize("NFC", s), where=combining)
    hit = pc.match_substring_regex(texts, re2)
    if texts.null_count == 0 and (pc.sum(hit).as_py() or 0) * 4 > len(texts):
        # many texts are concerned: one table look-up a character, then only the rare rest by pattern
        texts = translate(texts, _single_replacements(punctuation, lookalikes, signs))
        hit = pc.match_substring_regex(texts, re2)
    return rewrite_each(texts, lambda s: pattern.sub(plain, s), where=hit)


# A byte of 0xC2..0xF4 that starts a UTF-8 sequence, then what Latin-1 or Windows-1252 makes of a
# continuation byte: the signature of UTF-8 read as Latin text.
_UTF8_AS_LATIN = (
    r"[\x{c2}-\x{f4}][\x{80}-\x{bf}\x{152}\x{153}\x{160}\x{161}\x{178}\x{17d}\x{17e}\x{192}\x{2c6}\x{2dc}"
    r"\x{2013}\x{2014}\x{2018}-\x{201e}\x{2020}-\x{2022}\x{2026}\x{2030}\x{2039}\x{203a}\x{20ac}\x{2122}]"
)
_LATIN_RUN = re.compile("(?!\u00a0+(?![\u0080-\u00ff]))[\u0080-\u00ff]{4,}")  # no-break spaces alone are no damage
# What 的，。是在 and friends become when UTF-8 bytes are read as GBK.
_UTF8_AS_GBK = re.compile("[鐨勬槸锛銆鍦鏈涓浠鍜屼浣犲]")


_HIGH = frozenset(map(chr, range(0x80, 0x100)))
_DIFFERENT = 3  # characters of U+0080 to U+00FF that a damaged text has at least


def _from_latin(text: str) -> str:
    """What the bytes stood for that became `text` when they were read as Latin-1: UTF-8, else GBK, else the text."""
    if len(set(filter(_HIGH.__contains__, text))) < _DIFFERENT:  # `······` and `××××` are dots and blanks
        return text
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        return text
    with contextlib.suppress(UnicodeDecodeError):
        return data.decode("utf-8")
    try:
        decoded = data.decode("gb18030")
    except UnicodeDecodeError:
        return text
    wide = [c for c in decoded if c > "\x7f"]
    chinese = sum("\u4e00" <= c <= "\u9fff" or c in "，。！？：；（）、“”《》…—" for c in wide)
    return decoded if len(wide) >= 2 and chinese >= 0.9 * len(wide) else text


def _from_utf8_read_as_gbk(text: str) -> str:
    if len(_UTF8_AS_GBK.findall(text)) * 12 < len(text):
        return text
    try:
        return text.encode("gb18030").decode("utf-8")
    except UnicodeError:
        return text


def _repair(text: str) -> str:
    import ftfy  # noqa: PLC0415 - loads its tables, and most runs repair nothing

    repaired = _from_utf8_read_as_gbk(text)
    if repaired == text:  # whole lines: GBK pairs may hold ASCII bytes, runs of damage would fall out of step
        lines = text.split("\n")
        repaired = "\n".join(_from_latin(line) if _LATIN_RUN.search(line) else line for line in lines)
    if repaired == text:
        repaired = ftfy.fix_encoding(text)
    return _LATIN_RUN.sub(lambda m: _from_latin(m[0]), repaired)


@rewrite(examples=(("ä¸\xadæ–‡ç½‘ç«™", "中文网站"), ("½ñÌìÌìÆøºÜºÃ", "今天天气很好")))
def fix_encoding(texts: pa.Array) -> pa.Array:
    """Repair mojibake: UTF-8 read as Latin-1 or Windows-1252 (by ftfy), UTF-8 read as GBK, GBK read as Latin-1.

    ftfy processes about 1.5 MB/s, so only texts with a signature of damage are looked at. What cannot be repaired
    (锟斤拷) is left for the rule `garbled`.

    Args:
        texts: String array.
    """
    hit = pc.match_substring_regex(
        texts, _UTF8_AS_LATIN + r"|[\x{80}-\x{9f}\x{a1}-\x{ff}][\x{80}-\x{ff}]{3,}|[鐨锛銆鏄鍦涓浠]"
    )
    return rewrite_each(texts, _repair, where=hit)
