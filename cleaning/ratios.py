"""Rejects by length and by shares of character classes. All numpy over the flat code points."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import (
    CHINESE_PUNCTUATION,
    FULL_WIDTH_PUNCTUATION,
    Flags,
    flags,
    gb2312_table,
    han_flags,
    share,
    space_flags,
    table_of,
)
from cleaning.declare import reject
from cleaning.protected import prose
from cleaning.texts import evidence
from raylib.stage import Threshold
from raylib.stage.bounds import Share

__all__ = [
    "alphanumeric_ratio",
    "chinese_ratio",
    "common_character_ratio",
    "digit_ratio",
    "length",
    "rare_characters",
    "symbol_ratio",
]


@reject(
    "too_short_or_long",
    unit="characters",
    examples=(("太短了。", "4 < 256"),),
    thresholds=(Threshold("min", "below", 0, 1 << 17, whole=True), Threshold("max", "above", 0, 1 << 24, whole=True)),
)
def length(texts: pa.Array, *, min: int = 256, max: int | None = None) -> pa.Array:
    """Reject texts that are too short or too long.

    Use it twice in a recipe: before the work and after the cuts. Minima by source: 100 for shopping and how-to, 128
    for questions and answers and briefs, 200 for wikis, 256 for web pages and articles, 512 for encyclopedias and
    books, 2048 for whole e-books.

    Args:
        texts: String array.
        min: Least length, in characters (code points).
        max: Largest length, in characters; null for no limit.
    """
    lengths = pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)
    bad = lengths < min
    if max is not None:
        bad = bad | (lengths > max)
    return evidence(texts, bad, lambda i: f"{lengths[i]} < {min}" if lengths[i] < min else f"{lengths[i]} > {max}")


def _below(texts: pa.Array, value: npt.NDArray[np.float64], floor: float) -> pa.Array:
    """Evidence against texts whose value is below the floor."""
    return evidence(texts, value < floor, lambda i: f"{value[i]:.3f} < {floor}")


def _above(texts: pa.Array, value: npt.NDArray[np.float64], ceiling: float) -> pa.Array:
    """Evidence against texts whose value is above the ceiling."""
    return evidence(texts, value > ceiling, lambda i: f"{value[i]:.3f} > {ceiling}")


@reject(
    "too_few_chinese",
    unit="share of characters",
    examples=(("This page is English 只有几个字", "0.2"), ("这一段几乎都是中文，ok。", "")),
    thresholds=(Threshold("min", "below"),),
)
def chinese_ratio(texts: pa.Array, *, min: Share = 0.6) -> pa.Array:
    """Reject texts with too few Han characters among the non-space characters of their prose.

    Code, formulas, tables and addresses do not count, so that a tutorial is judged by what it says between them. A
    text without prose is judged as a whole; one of white space only has a share of 0.

    Args:
        texts: String array.
        min: Least share of Han characters, 0 to 1; 0.3 suits mixed text.
    """
    view = prose(texts)
    solid = view.lengths - view.count(space_flags(view))
    return _below(texts, share(view.count(han_flags(view)), solid, empty=0.0), min)


@functools.lru_cache(maxsize=1)
def _common_table() -> Flags:
    path = Path(__file__).with_name("common_characters.txt")
    return table_of("".join(path.read_text("utf-8").split()))


@reject(
    "too_few_common_characters",
    unit="share of characters",
    examples=(("ÖÐ¹ú¹²²ú£¬ÈËÃñ¡£", "0.0"), ("我们在这里看见的东西。", "")),
    thresholds=(Threshold("min", "below"),),
)
def common_character_ratio(texts: pa.Array, *, min: Share = 0.2) -> pa.Array:
    """Reject texts with too few of the 5,000 commonest Han characters among all characters of their prose.

    The list comes from the word frequencies of jieba's dictionary (benchmarks/common_characters.py).

    Args:
        texts: String array.
        min: Least share of common characters, 0 to 1.
    """
    view = prose(texts)
    return _below(texts, share(view.count(flags(view, _common_table())), view.lengths, empty=0.0), min)


_ALLOWED_OUTSIDE = CHINESE_PUNCTUATION + FULL_WIDTH_PUNCTUATION + "–\u3000\u00a0"


@functools.lru_cache(maxsize=1)
def _writable() -> Flags:
    return gb2312_table() | table_of(_ALLOWED_OUTSIDE)


@reject(
    "rare_characters",
    unit="share of characters",
    examples=(("䶮㐂㐆䘵䗬䓖是罕见字", "0.6"), ("这些都是常用字。", "")),
    thresholds=(Threshold("max", "above"),),
)
def rare_characters(texts: pa.Array, *, max: Share = 0.1) -> pa.Array:
    """Reject texts with too many characters outside GB2312 among their non-space characters.

    Use it after `to_simplified`.

    Args:
        texts: String array.
        max: Largest share of such characters, 0 to 1.
    """
    view = prose(texts)
    solid = view.lengths - view.count(space_flags(view))
    rare = view.count(~(flags(view, _writable()) | space_flags(view)))
    return _above(texts, share(rare, solid, empty=0.0), max)


_ASCII_LETTERS_AND_DIGITS = ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A))
_WIDE_LETTERS_AND_DIGITS = ((0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A))
_OTHER_LETTERS = (
    (0xC0, 0x24F),
    (0x370, 0x1FFF),
    (0x3040, 0x30FF),
    (0xAC00, 0xD7A3),
)
_LETTERS_AND_DIGITS = table_of("", (*_ASCII_LETTERS_AND_DIGITS, *_WIDE_LETTERS_AND_DIGITS, *_OTHER_LETTERS))


@reject(
    "too_few_letters",
    unit="share of characters",
    examples=(("——***——!!! a", "0.0"), ("正常的句子。", "")),
    thresholds=(Threshold("min", "below"), Threshold("max", "above")),
)
def alphanumeric_ratio(texts: pa.Array, *, min: Share = 0.25, max: Share = 1.0) -> pa.Array:
    """Reject texts with too few or too many letters (of all scripts, Han included) and digits among all characters.

    Args:
        texts: String array.
        min: Least share of letters and digits, 0 to 1.
        max: Largest share of letters and digits, 0 to 1.
    """
    view = prose(texts)
    counted = view.count(flags(view, _LETTERS_AND_DIGITS) | han_flags(view))
    value = share(counted, view.lengths, empty=0.0)
    return evidence(
        texts,
        (value < min) | (value > max),
        lambda i: f"{value[i]:.3f} < {min}" if value[i] < min else f"{value[i]:.3f} > {max}",
    )


_SYMBOLS = ~(
    _LETTERS_AND_DIGITS
    | table_of(" \t\n\r\u3000", ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF)))
    | table_of("，。！？、；：“”‘’（）《》…—,.!?;:'\"()-〇")
)


@reject(
    "too_many_symbols",
    unit="share of characters",
    examples=(("★☆※◆■□▲△●○§№＃＠＆＊★☆※价格", "0.9"), ("价格是 30 元，共 5 件。", "")),
    thresholds=(Threshold("max", "above"),),
)
def symbol_ratio(texts: pa.Array, *, max: Share = 0.4) -> pa.Array:
    """Reject texts with too many symbols in their prose: no letters, digits, spaces or ordinary punctuation.

    Ordinary are ，。！？、；：“”‘’（）《》…— and their ASCII counterparts; everything else, emoji included, is a
    symbol.

    Args:
        texts: String array.
        max: Largest share of symbols among all characters, 0 to 1.
    """
    view = prose(texts)
    symbols = flags(view, _SYMBOLS)
    high = view.values >= 0x20000
    if high.any():
        symbols = symbols & ~high | (high & ~han_flags(view))
    symbols = symbols | ((view.values >= 0x10000) & (view.values < 0x20000))
    return _above(texts, share(view.count(symbols), view.lengths, empty=0.0), max)


_DIGITS = table_of("", ((0x30, 0x39), (0xFF10, 0xFF19)))


@reject(
    "too_many_digits",
    unit="share of characters",
    examples=(("2023 1021 3345 9910 22", "0.8"), ("共有3个人。", "")),
    thresholds=(Threshold("max", "above"),),
)
def digit_ratio(texts: pa.Array, *, max: Share = 0.3) -> pa.Array:
    """Reject texts with too many digits (number tables, serial lists).

    Args:
        texts: String array.
        max: Largest share of digits among all characters, 0 to 1.
    """
    view = prose(texts)
    return _above(texts, share(view.count(flags(view, _DIGITS)), view.lengths, empty=0.0), max)
