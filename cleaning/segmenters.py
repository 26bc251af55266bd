"""Word segmenters for Chinese: jieba, or its compiled port where it is installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, TypeAlias

__all__ = ["Segmenter", "segmenter_of"]

Segmenter: TypeAlias = Literal["rjieba", "jieba"]
"""Name of a word segmenter."""


@functools.lru_cache(maxsize=2)
def segmenter_of(name: Segmenter) -> Callable[[str], list[str]]:
    """A function that cuts a text into words.

    Args:
        name: `jieba`, or `rjieba` for its compiled port.
    """
    if name == "jieba":
        import jieba  # noqa: PLC0415 - its dictionary loads in a second

        jieba.setLogLevel(60)
        jieba.initialize()
        cut: Callable[[str], list[str]] = jieba.lcut
        return cut
    import rjieba  # noqa: PLC0415 - its dictionary loads in half a second

    return lambda text: list(rjieba.cut(text))
