"""Detect the character encoding of text files: a byte order mark, strict UTF-8, or the best of GB18030 and Big5."""

from __future__ import annotations

import codecs
import functools

from raylib.errors import SourceError

__all__ = ["detect_encoding", "normalise_encoding"]


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZEROS = 0.02  # the least share of two-byte characters with a zero, as a line of fifty Chinese ones has it
# The thirty commonest characters of running text, simplified and traditional; they decide between
# two decodings that both succeed.
_COMMON = frozenset("的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出這個為國時來們於說對會學過，。、")


def normalise_encoding(name: str) -> str:
    """The canonical codec name; GBK and GB2312 are read as their superset GB18030.

    Raises:
        SourceError: Python has no codec of this name.
    """
    try:
        canonical = codecs.lookup(name).name
    except LookupError:
        raise SourceError(f"input.encoding: unknown encoding {name!r}; try utf-8, gb18030 or big5") from None
    return {"gbk": "gb18030", "gb2312": "gb18030", "hz": "hz", "big5": "big5hkscs"}.get(canonical, canonical)


def _decodes(head: bytes, encoding: str) -> str | None:
    """The decoded head, or None if it is not in this encoding."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        return decoder.decode(head, final=False)  # a character cut at the end of the head is fine
    except UnicodeDecodeError:
        return None


def _wide_encoding(head: bytes) -> str:
    """UTF-16 without a mark, by its zeros: half of each Latin letter, digit and line end, always the same half.

    一 and a few other characters have a zero in the other half.
    """
    size = len(head) // 2 * 2
    odd, even = head[1:size:2].count(0), head[0:size:2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    least = _ZEROS if _decodes(head, "utf-8") is None else 0.5  # of text that is UTF-8 as well, a NUL is just a NUL
    if max(odd, even) < least * size / 2 or min(odd, even) > max(odd, even) / 2:
        return ""
    text = _decodes(head[:size], name)
    if text is None:
        return ""
    strange = sum(c < " " and c not in "\t\r\n" for c in text)
    return name if strange <= len(text) / 100 else ""


@functools.lru_cache(maxsize=256)
def detect_encoding(head: bytes) -> str:
    """The encoding of a text, by its first bytes.

    UTF-8 unless a byte order mark says otherwise or the bytes do not decode; then GB18030, Big5 or damaged UTF-8,
    whichever gives more of the commonest characters and fewer undecodable bytes. Bytes in none of these are called
    UTF-8, so that their bad lines are rejected one by one.

    Args:
        head: First bytes of the text; at least 64 KiB of a longer text.

    Returns:
        Name of a Python codec.
    """
    for mark, marked in _MARKS:
        if head.startswith(mark):
            return marked
    if b"\x00" in head and (utf16 := _wide_encoding(head)):
        return utf16
    if _decodes(head, "utf-8") is not None:
        return "utf-8"
    best, best_score = "utf-8", 0.02
    for name in ("utf-8", "gb18030", "big5hkscs"):
        # a few damaged bytes must not hide the encoding of all the others
        text = head.decode(name, "replace")
        wide = sum(c > "\x7f" for c in text)
        score = (sum(c in _COMMON for c in text) - text.count("\ufffd")) / max(wide, 1)
        if score > best_score:
            best, best_score = name, score
    return best
