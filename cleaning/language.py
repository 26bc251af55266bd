"""Language by script first, and by a statistical model only where the script does not tell."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from cleaning.codepoints import codepoints, flags, han_flags, table_of
from cleaning.declare import reject
from cleaning.texts import evidence

__all__ = ["detect_language", "language"]

_KANA = table_of("", ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D)))
_HANGUL = table_of("", ((0xAC00, 0xD7A3), (0x1100, 0x11FF), (0x3130, 0x318F)))
_LATIN = table_of("", ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)))
_OTHER = table_of("", ((0x370, 0x10FF), (0x1200, 0x1DFF), (0x1F00, 0x1FFF)))


@functools.lru_cache(maxsize=4096)
def _classify(text: str) -> str:
    """Language of one text by the statistical model of py3langid."""
    import py3langid  # noqa: PLC0415 - its model loads in a second

    return str(py3langid.classify(text)[0])


def detect_language(texts: pa.Array) -> list[str]:
    """Languages of texts: zh, ja and ko by script, others by py3langid.

    Args:
        texts: String array without nulls, N texts.

    Returns:
        ISO 639-1 codes, N of them; `und` (undetermined) for a text without letters.
    """
    view = codepoints(texts)
    counts = {
        name: view.count(found)
        for name, found in (
            ("han", han_flags(view)),
            ("kana", flags(view, _KANA)),
            ("hangul", flags(view, _HANGUL)),
            ("latin", flags(view, _LATIN)),
            ("other", flags(view, _OTHER)),
        )
    }
    # A Han character carries about as much as four Latin letters.
    letters = 4 * (counts["han"] + counts["kana"] + counts["hangul"]) + counts["latin"] + counts["other"]
    out = np.full(len(texts), "", dtype=object)
    out[letters == 0] = "und"
    cjk = 4 * (counts["han"] + counts["kana"] + counts["hangul"]) >= 0.5 * np.maximum(letters, 1)
    known = (out == "") & cjk
    out[known & (counts["kana"] * 10 >= counts["han"]) & (counts["kana"] > counts["hangul"])] = "ja"
    out[known & (counts["hangul"] * 4 >= counts["han"]) & (counts["hangul"] >= counts["kana"])] = "ko"
    out[known & (out == "")] = "zh"
    for row in np.flatnonzero(out == "").tolist():
        out[row] = _classify(texts[row].as_py()[:1000])
    return list(out)


@reject(
    "language",
    unit="ISO 639-1 code",
    examples=(
        ("Это русский текст о погоде и природе.", "ru"),
        ("これは日本語の文章です。", "ja"),
        ("这是中文，with some English。", ""),
    ),
)
def language(texts: pa.Array, *, allowed: tuple[str, ...] = ("zh", "en")) -> pa.Array:
    """Reject texts in other languages than the allowed ones.

    Counts of Han, kana and hangul characters decide first; other scripts go to py3langid, which sees the first 1,000
    characters. A text without any letter is `und` (undetermined).

    Args:
        texts: String array.
        allowed: ISO 639-1 codes of the languages that stay.
    """
    found = detect_language(texts)
    bad = np.array([code not in allowed for code in found], np.bool_)
    return evidence(texts, bad, lambda i: f"{found[i]} not in {', '.join(allowed)}")
