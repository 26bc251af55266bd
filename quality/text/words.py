"""Words for classifiers and keywords: segmentation without stop words."""

from __future__ import annotations

import functools
from collections.abc import Callable

from cleaning.segmenters import segmenter_of

__all__ = ["STOP_WORDS", "segment", "segmenter"]


_LISTED = (
    "的 了 和 是 在 就 都 而 及 与 着 或 一个 一些 一种 这个 那个 这些 那些 这 那 我 你 他 她 它 我们 你们 "
    "他们 她们 它们 自己 之 也 很 还 又 再 才 只 吗 呢 吧 啊 呀 哦 嗯 把 被 让 给 对 从 到 向 由 于 以 为 因 "
    "但 但是 因为 所以 如果 虽然 然后 而且 并且 或者 以及 其 其中 此 该 等 等等 有 没有 没 不 不是 会 能 可以 "
    "可能 要 需要 应该 想 说 去 来 上 下 中 里 个 什么 怎么 怎样 如何 哪 谁 多少 几 时 时候 之后 之前 通过 "
    "进行 使用 关于 根据 以下 请 下面 给定 并 更 最 这样 那样 非常 a an the and or but if of to in on at by "
    "for with from as is are was were be been being it its this that these those i you he she we they them "
    "his her their our your my me us not no do does did done has have had can could will would should may "
    "might must shall so than then there here what which who whom how when where why into out up down over "
    "under again more most some any each other such only own same too very s t just about also"
)
STOP_WORDS = frozenset(_LISTED.split())


@functools.lru_cache(maxsize=4)
def segmenter(name: str = "rjieba") -> Callable[[str], list[str]]:
    """Find the function that cuts a text into words.

    rjieba cuts 99.6 % of sentences as jieba does, at more than ten times its speed.

    Args:
        name: `rjieba` (compiled), `jieba`, or `characters` (every character that is not a space).

    Returns:
        A function from a text to its words, in order.
    """
    if name == "characters":
        return lambda text: [c for c in text if not c.isspace()]
    return segmenter_of(name)


def segment(text: str, name: str = "rjieba", stop_words: frozenset[str] = STOP_WORDS) -> list[str]:
    """Cut a text into lower-case words, without blanks and stop words."""
    return [w for w in segmenter(name)(text.lower()) if not w.isspace() and w not in stop_words]
