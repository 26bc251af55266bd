"""Word segmenters for Chinese: jieba, or its compiled port where it is installed."""

from __future__ import annotations

import functools
from collections.abc import Callable

__all__ = ["segmenter_of"]


@functools.lru_cache(maxsize=2)
def segmenter_of(name: str) -> Callable[[str], list[str]]:
    if name == "jieba":
        import jieba

        jieba.setLogLevel(60)
        jieba.initialize()
        return jieba.lcut
    import rjieba

    return lambda text: list(rjieba.cut(text))
