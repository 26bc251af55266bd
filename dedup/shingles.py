"""Texts as flat tokens: folded characters, or words. A shingle is `ngram` of these in a row.

Punctuation is unified, not dropped (but at the level `loose`): in verse and lists it holds the shingles of a line
together, and without it two orders of the same lines look much less alike than they are. Signs of numbers are words of
their own, as are those of C++ and C#. Everything here is one pass over flat arrays, without a Python loop over
characters or shingles.
"""

from __future__ import annotations

import functools
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleaning.codepoints import CodePoints, Flags, codepoints, table_of
from dedup.folding import Level, folded_codepoints
from raylib.hashing import GOLDEN

__all__ = ["HAN_BIT", "Unit", "shingle_set", "tokens"]

Unit: TypeAlias = Literal["character", "word"]
"""What a token is: a folded character, or a word."""

HAN_BIT = np.uint64(1 << 63)
"""The bit that marks single Han characters among the hashes of words."""


@functools.lru_cache(maxsize=1)
def _word_table() -> npt.NDArray[np.uint8]:
    """Over the BMP: 0 for separators, 1 for characters of words, 2 for characters that are words by themselves."""
    table = np.zeros(0x10000, np.uint8)
    for code in range(0xFFFF):
        if 0xD800 <= code <= 0xDFFF:
            continue
        character = chr(code)
        if "\u2e80" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff":
            table[code] = 2 if character.isalnum() else 0
        elif character.isalnum():
            table[code] = 1
    table[0xFFFF] = 2
    return table


_DIGITS = table_of("0123456789")
_OF_NUMBERS = table_of("+-*/%$#=<>^&|~°¥€£×÷±√‰")
_INSIDE_NUMBERS = table_of(".,:")
_OF_NAMES = table_of("+#")
_LATIN = table_of("", ((0x41, 0x5A), (0x61, 0x7A)))


def _signs(view: CodePoints) -> Flags:
    """Which characters are signs of numbers (-5, 5%, 3.14, 3:4) or names (C++, C#), and so words of their own, [T]."""
    digit = _DIGITS[view.narrow]
    behind, before = np.zeros(len(digit), np.bool_), np.zeros(len(digit), np.bool_)
    behind[1:], before[:-1] = digit[:-1], digit[1:]
    inner = view.starts[1:-1][(view.starts[1:-1] > 0) & (view.starts[1:-1] < len(digit))]
    behind[inner] = False
    before[inner - 1] = False
    found = (_OF_NUMBERS[view.narrow] & (behind | before)) | (_INSIDE_NUMBERS[view.narrow] & behind & before)
    name = _OF_NAMES[view.narrow]
    after = name | _LATIN[view.narrow]
    after[1:] = after[:-1].copy()
    after[0] = False
    after[inner] = False
    return np.asarray(found | (name & after), np.bool_)


def _words(texts: pa.Array, level: Level) -> CodePoints:
    """64-bit hashes of the words of each text: runs of letters and digits, single Han characters, signs of numbers."""
    view = folded_codepoints(texts, "standard" if level == "loose" else level, marks=True)
    kinds = _word_table()[view.narrow]
    if len(kinds):
        kinds[_signs(view)] = 3
    values = view.values.astype(np.uint64)
    begins = kinds >= 2
    inside = kinds == 1
    begins[1:] |= inside[1:] & ~inside[:-1]
    first = view.starts[:-1][view.lengths > 0]
    begins[first] |= inside[first]
    starts = np.flatnonzero(begins)
    if len(starts) == 0:
        return CodePoints(np.zeros(0, np.uint64), np.zeros(len(texts) + 1, np.int64))
    position = _positions(starts, len(values))
    with np.errstate(over="ignore"):
        weight = (np.uint64(2) * (position.astype(np.uint64) % np.uint64(61)) + np.uint64(1)) * GOLDEN
        mixed = (values + np.uint64(1)) * weight
        mixed ^= mixed >> np.uint64(31)
        mixed[kinds == 0] = 0
        hashes = np.add.reduceat(mixed, starts)
    # the top bit sets single Han characters apart from words
    hashes = np.where(kinds[starts] == 2, hashes | HAN_BIT, hashes & ~HAN_BIT)
    owners = np.searchsorted(view.starts, starts, side="right") - 1
    counts = np.bincount(owners, minlength=len(texts))
    return CodePoints(hashes, np.concatenate([[0], np.cumsum(counts)]))


def _positions(starts: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    """Distance of each element from the last start at or before it; 0 before the first."""
    origin = np.zeros(total, np.int64)
    origin[starts] = starts
    return np.asarray(np.maximum(np.arange(total) - np.maximum.accumulate(origin), 0))


def tokens(texts: pa.Array, unit: Unit = "character", level: Level = "standard") -> CodePoints:
    """Tokens of each text: folded code points (uint32), or hashes of words (uint64) with `HAN_BIT`.

    A text without a word (punctuation only) falls back to its folded characters.

    Args:
        texts: String array, N texts.
        unit: Whether tokens are folded characters or words.
        level: How much of the texts is ignored.
    """
    if unit == "character":
        return folded_codepoints(texts, level, marks=True)
    view = _words(texts, level)
    bare = np.flatnonzero((view.lengths == 0) & (codepoints(texts).lengths > 0))
    if len(bare) == 0:
        return view
    spare = folded_codepoints(texts.take(pa.array(bare)), level, marks=True)
    lengths = view.lengths.copy()
    lengths[bare] = spare.lengths
    pieces = [view.values[view.starts[r] : view.starts[r + 1]] for r in range(len(texts))]
    for i, row in enumerate(bare.tolist()):
        pieces[row] = spare.values[spare.starts[i] : spare.starts[i + 1]].astype(np.uint64)
    return CodePoints(np.concatenate(pieces), np.concatenate([[0], np.cumsum(lengths)]))


def shingle_set(text: str, ngram: int = 5, unit: Unit = "character", level: Level = "standard") -> set[bytes]:
    """The shingles of one text as a set, for true Jaccard. A text of fewer tokens is one shingle.

    Args:
        text: The text.
        ngram: Number of tokens of a shingle.
        unit: Whether tokens are folded characters or words.
        level: How much of the text is ignored.
    """
    view = tokens(pa.array([text], pa.large_string()), unit, level)
    width = view.values.itemsize
    data = view.values.tobytes()
    count = max(len(view.values) - ngram + 1, 1)
    return {data[i * width : (i + ngram) * width] for i in range(count)}
