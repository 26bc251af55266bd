"""Patterns that several scores look for in instructions and answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Array", "counted", "is_refusal", "matches"]


Array = np.ndarray[Any, Any]
_REFUSAL = (
    r"(?i)(我|本人|作为[^。，]{0,20})?(无法|不能|不可以|不会|没有办法|没办法|拒绝)(为您?你?|向您?你?|给您?你?)?"
    r"(提供|回答|协助|帮助|满足|完成您|完成你|支持|参与|执行|讨论|透露)"
    r"|(恕|请恕)我?(无法|不能|难以)|(请求|问题|要求|内容)(是)?(违法|不合法|不道德|不恰当|不适当)的?"
    r"|\b(i|we)(['’]m| am| are|['’]re)? (sorry|afraid|unable|not able)\b.{0,60}\b(can(not|['’]t)|unable|not able|won['’]t)\b"
    r"|\bi (cannot|can['’]t|can not|won['’]t|am unable to|am not able to) (help|assist|provide|answer|comply|support|fulfil|create|generate|do that)"
)


def is_refusal(texts: pa.Array) -> Array:
    """Whether the start (400 characters) of each text declines to do what was asked; bool, shape (n,)."""
    heads = pc.utf8_slice_codeunits(pc.fill_null(texts, ""), 0, 400)
    return pc.match_substring_regex(heads, _REFUSAL).to_numpy(zero_copy_only=False)


def matches(texts: pa.Array, pattern: str) -> Array:
    return pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)


def counted(texts: pa.Array, pattern: str) -> Array:
    return pc.count_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
