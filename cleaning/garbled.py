"""Garbled text: signatures of broken decoding, and Han characters that form no words."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import codepoints, han_flags
from cleaning.declare import reject
from cleaning.protected import prose_texts
from cleaning.segmenters import segmenter_of
from raylib.stage import Threshold

__all__ = ["garbled"]


# U+FFFD counts inside words: where it stands alone, an emoji was lost and the text is whole
_SIGNATURES = r"锟斤拷|烫烫烫|屯屯屯|\pL\x{fffd}+\pL|锘縷|ï¿½|鈥[檚滄]|Ã[\x{80}-\x{bf}]|â€[\x{80}-\x{2122}]"


def _han_sample(values: npt.NDArray[np.unsignedinteger], sample: int) -> str:
    """Up to `sample` Han characters (code points) from the start, the middle and the end of a text."""
    if len(values) > sample:
        third = sample // 3
        middle = len(values) // 2 - third // 2
        values = np.concatenate([values[:third], values[middle : middle + third], values[-third:]])
    return values.astype("<u4").tobytes().decode("utf-32-le")


@reject(
    "garbled",
    unit="characters a word",
    examples=(
        ("锟斤拷锟斤拷你好锟斤拷", "signatures"),
        ("鎿炵敤鐐瑰鐞嗙晫闈㈠悓鏃朵簬鍙戠幇", "a word"),
        ("今天的天气很好，我们一起去公园散步。", ""),
    ),
    thresholds=(Threshold("min_word_length", "below", 1, 3),),
)
def garbled(
    texts: pa.Array,
    *,
    min_word_length: float = 1.1,
    max_signatures: float = 1.0,
    segmenter: Literal["rjieba", "jieba"] = "rjieba",
    sample: int = 300,
    min_han: int = 12,
) -> pa.Array:
    """Reject garbled texts: Han characters that do not form words, or traces of a failed decoding.

    Words are judged in a sample of Han characters from the start, the middle and the end. Classical Chinese has many
    words of one character but stays above the default. Traces are 锟斤拷, 烫烫烫, U+FFFD inside words and the like.
    Code and tables do not count.

    Args:
        texts: String array.
        min_word_length: Least mean length of a word, in characters.
        max_signatures: Largest number of traces of a failed decoding for 1,000 characters.
        segmenter: Word segmenter; `rjieba` cuts as `jieba` does and is ten times faster.
        sample: Number of Han characters of a text that are segmented.
        min_han: Number of Han characters below which words are not judged.
    """
    texts = prose_texts(texts)
    out: list[str | None] = [None] * len(texts)
    view = codepoints(texts)
    hits = pc.match_substring_regex(texts, _SIGNATURES).to_numpy(zero_copy_only=False).astype(bool)
    for row in np.flatnonzero(hits).tolist():
        count = pc.count_substring_regex(texts.slice(row, 1), _SIGNATURES)[0].as_py()
        density = 1000 * count / max(int(view.lengths[row]), 1)
        if density > max_signatures:
            out[row] = f"{count} mojibake signatures, {density:.1f} for 1000 characters > {max_signatures}"
    cut = segmenter_of(segmenter)
    han = han_flags(view)
    han_before = np.concatenate([[0], np.cumsum(han)])
    han_values = view.values[han]
    for row in range(len(texts)):
        first, last = han_before[view.starts[row]], han_before[view.starts[row + 1]]
        if out[row] is not None or last - first < min_han:
            continue
        text = _han_sample(han_values[first:last], sample)
        words = len(cut(text))
        if len(text) < min_word_length * words:
            out[row] = f"{len(text) / words:.2f} characters a word < {min_word_length}"
    return pa.array(out, pa.large_string())
