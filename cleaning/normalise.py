"""Rules that bring characters to one form: widths, numbers, scripts and damaged encodings."""

from __future__ import annotations

import contextlib
import functools
import re
import unicodedata
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import codepoints, share, translate
from cleaning.declare import rewrite
from cleaning.texts import rewrite_each

__all__ = ["fix_encoding", "normalise_characters", "to_simplified"]

_KEPT_WIDE = "，！？：；（）"
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
def _replacements(punctuation: str, lookalikes: bool) -> tuple[dict[str, str], re.Pattern[str], str]:
    table = {chr(c): chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}
    if punctuation == "keep":
        for mark in _KEPT_WIDE:
            del table[mark]
    else:
        table["。"] = "."
    table["\u3000"] = " "
    table["\u00a0"] = " "
    table |= _number_signs() | _BRACKETS | _DOTS
    if lookalikes:
        table |= _accents() | _GREEK_CYRILLIC
    table |= dict.fromkeys(_INVISIBLE, "")
    pattern = "[" + "".join(map(re.escape, table)) + "]"
    re2 = "[" + "".join(f"\\x{{{ord(c):x}}}" for c in table) + "]|" + _ESCAPES
    return table, re.compile(f"{pattern}|{_ESCAPES}"), re2


@functools.lru_cache(maxsize=8)
def _single_replacements(punctuation: str, lookalikes: bool) -> npt.NDArray[np.uint32]:
    """The one-to-one replacements as a table over the BMP."""
    table = np.arange(0x10000, dtype=np.uint32)
    for old, new in _replacements(punctuation, lookalikes)[0].items():
        if len(old) == len(new) == 1:
            table[ord(old)] = ord(new)
    return table


@rewrite(
    examples=(
        ("ＡＢ１①Ⅲ（一）β μ é İ，", "AB11III（一）b u e İ，"),
        ("第⑴条\u3000价格＄５", "第1条 价格$5"),
    )
)
def normalise_characters(
    texts: pa.Array, *, punctuation: Literal["keep", "half"] = "keep", lookalikes: bool = True
) -> pa.Array:
    """Bring characters to their plain form.

    Full-width letters, digits and ASCII punctuation become half-width; the ideographic space and the no-break space
    become a space. Circled, parenthesised and Roman-numeral signs become plain numbers or letters, exotic brackets
    and dots ordinary ones. Zero-width characters, byte order marks and textual escapes such as `<200b>` are removed.
    The result is in NFC.

    Args:
        texts: String array.
        punctuation: Whether Chinese punctuation ，。！？：；（） stays (`keep`) or becomes half-width (`half`).
        lookalikes: Whether Greek and Cyrillic look-alikes and accented Latin letters become plain Latin letters.
            Switch it
            off for medicine, mathematics and foreign languages.
    """
    table, pattern, re2 = _replacements(punctuation, lookalikes)

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
        texts = translate(texts, _single_replacements(punctuation, lookalikes))
        hit = pc.match_substring_regex(texts, re2)
    return rewrite_each(texts, lambda s: pattern.sub(plain, s), where=hit)


class _Converter(Protocol):
    def convert(self, text: str) -> str: ...


@functools.lru_cache(maxsize=8)
def _opencc(direction: str) -> _Converter:
    import opencc  # noqa: PLC0415 - loads its dictionaries

    converter: _Converter = opencc.OpenCC(direction)
    return converter


@functools.lru_cache(maxsize=8)
def _convertible(direction: str) -> str:
    """RE2 class of the characters that a direction changes on their own, or may change in a phrase.

    For t2s a text without a single traditional character is left alone. That is faster, and safer: the
    phrase table misreads simplified text (破坏土地 would become 破坯土地).
    """
    if direction != "t2s":
        return r"[\x{3400}-\x{9fff}\x{f900}-\x{faff}\x{20000}-\x{3ffff}]"
    convert = _opencc(direction).convert
    codes = [c for c in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00)) if convert(chr(c)) != chr(c)]
    return "[" + "".join(f"\\x{{{c:x}}}" for c in codes) + r"\x{20000}-\x{3ffff}乾瀋著藉覆徵麼夥]"


def _mark_traditional(before: pa.Array, after: pa.Array) -> dict[str, pa.Array]:
    """The column `traditional`: true where the conversion changed at least 5 % of the characters, or words."""
    flag = np.zeros(len(before), np.bool_)
    if before is not after:
        rows = np.flatnonzero(pc.not_equal(before, after).to_numpy(zero_copy_only=False))
        old, new = codepoints(before.take(pa.array(rows))), codepoints(after.take(pa.array(rows)))
        same_length = old.lengths == new.lengths
        if same_length.all():
            flag[rows] = share(old.count(old.values != new.values), old.lengths, empty=0.0) >= 0.05
        else:  # a direction that changes words: any change counts
            flag[rows] = True
    return {"traditional": pa.array(flag)}


Direction = Literal["t2s", "tw2s", "tw2sp", "hk2s", "s2t", "s2tw", "s2hk", "t2tw"]


@rewrite(
    examples=(("網路資訊與軟體開發", "网路资讯与软体开发"), ("著名的乾隆皇帝", "著名的乾隆皇帝")),
    adds=_mark_traditional,
)
def to_simplified(texts: pa.Array, *, direction: Direction = "t2s") -> pa.Array:
    """Convert traditional to simplified characters with OpenCC, or convert in another of its directions.

    Adds the column `traditional`: true where the conversion changed at least 5 % of a document's characters.

    Args:
        texts: String array.
        direction: Direction of OpenCC; `tw2sp` also changes words of Taiwan (軟體 to 软件).
    """
    return rewrite_each(
        texts, _opencc(direction).convert, where=pc.match_substring_regex(texts, _convertible(direction))
    )


# A byte of 0xC2..0xF4 that starts a UTF-8 sequence, then what Latin-1 or Windows-1252 makes of a
# continuation byte: the signature of UTF-8 read as Latin text.
_UTF8_AS_LATIN = (
    r"[\x{c2}-\x{f4}][\x{80}-\x{bf}\x{152}\x{153}\x{160}\x{161}\x{178}\x{17d}\x{17e}\x{192}\x{2c6}\x{2dc}"
    r"\x{2013}\x{2014}\x{2018}-\x{201e}\x{2020}-\x{2022}\x{2026}\x{2030}\x{2039}\x{203a}\x{20ac}\x{2122}]"
)
_LATIN_RUN = re.compile("[\u0080-\u00ff]{4,}")
# What 的，。是在 and friends become when UTF-8 bytes are read as GBK.
_UTF8_AS_GBK = re.compile("[鐨勬槸锛銆鍦鏈涓浠鍜屼浣犲]")


def _from_latin(text: str) -> str:
    """What the bytes stood for that became `text` when they were read as Latin-1: UTF-8, else GBK, else the text."""
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
    hit = pc.match_substring_regex(texts, _UTF8_AS_LATIN + r"|[\x{80}-\x{ff}]{4,}|[鐨锛銆鏄鍦涓浠]")
    return rewrite_each(texts, _repair, where=hit)
