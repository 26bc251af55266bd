"""Texts as one flat numpy array of code points, and the character classes that rules count.

All ratio rules of a chain look at the same unchanged texts, so the decoded view is remembered for
the last few arrays (by buffer identity). Class tables cover the Basic Multilingual Plane and one
catch-all entry for everything above, which keeps a look-up within the CPU's second-level cache.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HAN = "\u4e00-\u9fff\u3400-\u4dbf\u3007"
HAN_RE2 = r"\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{3007}"
CHINESE_PUNCTUATION = "，。！？：；（）、“”‘’《》「」『』【】〔〕…—～·〈〉〖〗﹏"
ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
FULL_WIDTH_PUNCTUATION = "＂＃＄％＆＇＊＋，－．／＜＝＞＠［＼］＾＿｀｛｜｝"
PUNCTUATION = ASCII_PUNCTUATION + CHINESE_PUNCTUATION + FULL_WIDTH_PUNCTUATION + "–"

_ABOVE = 0xFFFF  # a noncharacter: its entry stands for every code point above the BMP


@dataclass(frozen=True)
class CodePoints:
    """`values`: uint32 code points of all texts end to end; `starts`: int64 borders, one more than texts."""

    values: np.ndarray[Any, Any]
    starts: np.ndarray[Any, Any]

    @property
    def lengths(self) -> np.ndarray[Any, Any]:
        return np.diff(self.starts)

    @functools.cached_property
    def narrow(self) -> np.ndarray[Any, Any]:
        """The code points as uint16, everything above the BMP as U+FFFF: the index of class tables."""
        return np.minimum(self.values, _ABOVE).astype(np.uint16)

    def count(self, flags: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Sum of `flags` (one a character) for each text, int64."""
        sums = np.zeros(len(self.starts) - 1, np.int64)
        solid = self.lengths > 0  # reduceat would give an empty text its neighbour's first character
        if solid.any():
            sums[solid] = np.add.reduceat(flags, self.starts[:-1][solid], dtype=np.int64)
        return sums


_recent: list[tuple[pa.Array, CodePoints]] = []


def codepoints(texts: pa.Array) -> CodePoints:
    """Decode a string array to code points; nulls count as empty. Remembers the last arrays."""
    for array, view in _recent:
        if array is texts:
            return view
    if texts.null_count:
        view = _decode(pc.fill_null(texts, ""))
    else:
        view = _decode(texts)
    _recent.append((texts, view))
    del _recent[:-2]
    return view


def _decode(texts: pa.Array) -> CodePoints:
    texts = texts.cast(pa.large_string())
    offsets = np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1, texts.offset * 8)
    data = texts.buffers()[2]
    raw = memoryview(data)[offsets[0] : offsets[-1]] if data is not None else b""
    values = np.frombuffer(str(raw, "utf-8").encode("utf-32-le"), np.uint32)
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(pc.utf8_length(texts).to_numpy(zero_copy_only=False), out=starts[1:])
    return CodePoints(values, starts)


def translate(texts: pa.Array, table: np.ndarray[Any, Any]) -> pa.Array:
    """Replace single characters by a uint32 table over the BMP; one look-up a character, no Python loop."""
    view = codepoints(texts)
    values = np.where(view.narrow == _ABOVE, view.values, table[view.narrow])
    data = values.astype("<u4").tobytes().decode("utf-32-le").encode()
    width = np.ones(len(values), np.int64)
    for border in (0x80, 0x800, 0x10000):
        width += values >= border
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(CodePoints(values, view.starts).count(width), out=offsets[1:])
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(data))


def table_of(characters: str = "", ranges: tuple[tuple[int, int], ...] = (), *, above: bool = False) -> Any:
    """A boolean look-up table over the BMP whose last entry stands for all code points above it."""
    table = np.zeros(0x10000, np.bool_)
    for first, last in ranges:
        table[first : last + 1] = True
    for character in characters:
        if ord(character) < _ABOVE:
            table[ord(character)] = True
    table[_ABOVE] = above
    return table


def flags(view: CodePoints, table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Look each character up in a class table."""
    return table[view.narrow]


# Extension B and beyond (U+20000...) are Han too; the catch-all entry also takes emoji, so those
# planes are told apart by value in `han_flags`.
_HAN = table_of("〇", ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF)))
_SPACE = table_of(" \t\n\r\v\f\u00a0\u3000\u2028\u2029\u0085", ((0x2000, 0x200A),))


def han_flags(view: CodePoints) -> np.ndarray[Any, Any]:
    """True for Han characters of every plane."""
    found = flags(view, _HAN)
    high = view.values >= 0x20000
    if high.any():
        found = found | (high & (view.values < 0x33480))
    return found


def space_flags(view: CodePoints) -> np.ndarray[Any, Any]:
    return flags(view, _SPACE)


@functools.lru_cache(maxsize=1)
def gb2312_table() -> Any:
    """Characters that GB2312 can write, ASCII included."""
    members = []
    for row in range(0xA1, 0xF8):
        for cell in range(0xA1, 0xFF):
            try:
                members.append(bytes((row, cell)).decode("gb2312"))
            except UnicodeDecodeError:
                continue
    return table_of("".join(members), ((0, 0x7F),))


def share(part: np.ndarray[Any, Any], whole: np.ndarray[Any, Any], *, empty: float) -> np.ndarray[Any, Any]:
    """part / whole, with `empty` where whole is 0."""
    out = np.full(len(part), empty, np.float64)
    np.divide(part, whole, out=out, where=whole > 0)
    return out
