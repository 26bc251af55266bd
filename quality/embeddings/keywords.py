"""Words that set the classes of a set apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

__all__ = ["class_keywords"]


def class_keywords(counts: Mapping[int, Mapping[str, int]], top: int = 8) -> dict[int, list[str]]:
    """Find the words that set each class apart, by c-TF-IDF: tf(w, c) log(1 + A / f(w)).

    tf is the share of the word in its class, f its frequency in all classes, A the mean number of words of a class.
    Source: Grootendorst, "BERTopic", 2022.

    Args:
        counts: Number of occurrences of the words of each class.
        top: Number of words per class.

    Returns:
        The words of each class, best first. Single characters and words that occur once are left out.
    """
    total: Counter[str] = Counter()
    for words in counts.values():
        total.update(words)
    mean = sum(total.values()) / max(len(counts), 1)
    out = {}
    for label, words in counts.items():
        size = max(sum(words.values()), 1)
        weight = {w: n / size * np.log1p(mean / total[w]) for w, n in words.items() if len(w) > 1 and n > 1}
        out[label] = sorted(weight, key=lambda w: (-weight[w], w))[:top]
    return out
