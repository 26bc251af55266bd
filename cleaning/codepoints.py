"""Texts as one flat array of code points, and the character classes that rules count.

All rules of a chain that only read look at the same texts, so the decoded view of the last arrays is remembered.
Class tables cover the Basic Multilingual Plane and have one entry for everything above, which keeps a look-up within
the CPU's second-level cache.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "ASCII_PUNCTUATION",
    "CHINESE_PUNCTUATION",
    "FULL_WIDTH_PUNCTUATION",
    "HAN",
    "HAN_RE2",
    "PUNCTUATION",
    "CodePoints",
    "Flags",
    "Stretch",
    "codepoints",
    "flags",
    "gb2312_table",
    "han_flags",
    "han_table",
    "share",
    "space_flags",
    "table_of",
    "translate",
]

Flags: TypeAlias = npt.NDArray[np.bool_]
"""A truth value for each character, text or entry of a class table."""

HAN = "\u4e00-\u9fff\u3400-\u4dbf\u3007"
HAN_RE2 = r"\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{3007}"
CHINESE_PUNCTUATION = "，。！？：；（）、“”‘’《》「」『』【】〔〕…—～·〈〉〖〗﹏"
ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
FULL_WIDTH_PUNCTUATION = "＂＃＄％＆＇＊＋，－．／＜＝＞＠［＼］＾＿｀｛｜｝"
PUNCTUATION = ASCII_PUNCTUATION + CHINESE_PUNCTUATION + FULL_WIDTH_PUNCTUATION + "–"

_ABOVE = 0xFFFF  # a noncharacter: its entry stands for every code point above the BMP


@dataclass(frozen=True)
class CodePoints:
    """Code points, or other tokens, of several texts.

    Attributes:
        values: Tokens of all texts, one after the other, uint32 or uint64, [T].
        starts: Position of each text's first token and, at the end, T, int64, [N + 1].
    """

    values: npt.NDArray[np.unsignedinteger]
    starts: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each text, [N]."""
        return np.diff(self.starts)

    @functools.cached_property
    def narrow(self) -> npt.NDArray[np.uint16]:
        """The code points with everything above the BMP as U+FFFF, [T]: the index of class tables."""
        return np.asarray(np.minimum(self.values, _ABOVE), np.uint16)

    def count(self, flags: npt.NDArray[np.bool_ | np.integer]) -> npt.NDArray[np.int64]:
        """Sum of `flags` over the characters of each text.

        Args:
            flags: A flag or number for each character, [T].

        Returns:
            Sums, [N].
        """
        sums = np.zeros(len(self.starts) - 1, np.int64)
        solid = self.lengths > 0  # reduceat would give an empty text its neighbour's first character
        if solid.any():
            sums[solid] = np.add.reduceat(flags, self.starts[:-1][solid], dtype=np.int64)
        return sums


@dataclass(frozen=True)
class Stretch:
    """A string array that equals every other one over the same stretch of the same memory.

    Every look at a column of a table makes a new array object, so object identity cannot tell that two rules see the
    same texts. Addresses can: as long as a stretch is held, its memory is not used for anything else.
    """

    texts: pa.Array = field(compare=False)
    kind: pa.DataType
    addresses: tuple[int, ...]
    first: int
    length: int

    @staticmethod
    def of(texts: pa.Array) -> Stretch:
        """The stretch of an array."""
        addresses = tuple(0 if buffer is None else buffer.address for buffer in texts.buffers())
        return Stretch(texts, texts.type, addresses, texts.offset, len(texts))


def codepoints(texts: pa.Array) -> CodePoints:
    """Decode a string array to code points. Views of the last two arrays are remembered.

    Args:
        texts: String array, N texts; a null counts as an empty text.
    """
    return _view(Stretch.of(texts))


@functools.lru_cache(maxsize=2)
def _view(stretch: Stretch) -> CodePoints:
    texts = stretch.texts
    return _decode(pc.fill_null(texts, "") if texts.null_count else texts)


def _decode(texts: pa.Array) -> CodePoints:
    texts = texts.cast(pa.large_string())
    offsets = np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1, texts.offset * 8)
    data = texts.buffers()[2]
    raw = memoryview(data)[offsets[0] : offsets[-1]] if data is not None else b""
    values = np.frombuffer(str(raw, "utf-8").encode("utf-32-le"), np.uint32)
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(pc.utf8_length(texts).to_numpy(zero_copy_only=False), out=starts[1:])
    return CodePoints(values, starts)


def translate(texts: pa.Array, table: npt.NDArray[np.uint32]) -> pa.Array:
    """Replace single characters of texts: one look-up for each character, without a Python loop.

    Args:
        texts: String array, N texts.
        table: What each code point of the BMP becomes, [65536]; characters above the BMP stay.

    Returns:
        N texts.
    """
    view = codepoints(texts)
    values = np.where(view.narrow == _ABOVE, view.values, table[view.narrow])
    data = values.astype("<u4").tobytes().decode("utf-32-le").encode()
    width = np.ones(len(values), np.int64)
    for border in (0x80, 0x800, 0x10000):
        width += values >= border
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(CodePoints(values, view.starts).count(width), out=offsets[1:])
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(data))


def table_of(characters: str = "", ranges: tuple[tuple[int, int], ...] = (), *, above: bool = False) -> Flags:
    """A class of characters as a look-up table over the BMP.

    Args:
        characters: Members of the class; those above the BMP are ignored.
        ranges: First and last code points of further members.
        above: Whether characters above the BMP are members.

    Returns:
        Whether each code point is a member, [65536]; the last entry stands for everything above the BMP.
    """
    table = np.zeros(0x10000, np.bool_)
    for first, last in ranges:
        table[first : last + 1] = True
    for character in characters:
        if ord(character) < _ABOVE:
            table[ord(character)] = True
    table[_ABOVE] = above
    return table


def flags(view: CodePoints, table: Flags) -> Flags:
    """Whether each character belongs to the class of a table, [T]."""
    return table[view.narrow]


# Extension B and beyond (U+20000...) are Han too. The last entry of a table also takes emoji, so `han_flags` looks at
# the values of those planes.
_HAN = table_of("〇", ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF)))
_SPACE = table_of(" \t\n\r\v\f\u00a0\u3000\u2028\u2029\u0085", ((0x2000, 0x200A),))


def han_table() -> Flags:
    """The class of Han characters of the BMP, [65536]."""
    return _HAN


def han_flags(view: CodePoints) -> Flags:
    """Whether each character is a Han character, of any plane, [T]."""
    found = flags(view, _HAN)
    high = view.values >= 0x20000
    if high.any():
        found = found | (high & (view.values < 0x33480))
    return found


def space_flags(view: CodePoints) -> Flags:
    """Whether each character is white space, [T]."""
    return flags(view, _SPACE)


@functools.lru_cache(maxsize=1)
def gb2312_table() -> Flags:
    """The class of characters that GB2312 can write, ASCII included."""
    cells = (bytes((row, cell)) for row in range(0xA1, 0xF8) for cell in range(0xA1, 0xFF))
    members = "".join(cell.decode("gb2312", "ignore") for cell in cells)  # a cell without a character gives nothing
    return table_of(members, ((0, 0x7F),))


def share(part: npt.NDArray[np.number], whole: npt.NDArray[np.number], *, empty: float) -> npt.NDArray[np.float64]:
    """`part / whole` for each text, and `empty` where `whole` is 0, [N]."""
    out = np.full(len(part), empty, np.float64)
    np.divide(part, whole, out=out, where=whole > 0)
    return out
