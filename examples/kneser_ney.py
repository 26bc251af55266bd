"""An interpolated Kneser-Ney model of characters in NumPy: trained on some million characters in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Ids", "KneserNey", "Real"]

Ids = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


@dataclass
class _Level:
    """The n-grams of one length: sorted keys (context times vocabulary plus character) and what was counted."""

    keys: Ids
    counts: Real
    total: Real  # of each context
    kinds: Real  # different characters behind each context
    discount: float


@dataclass
class KneserNey:
    """An interpolated Kneser-Ney model of characters (Chen and Goodman 1998), with one discount for each order.

    Attributes:
        vocabulary: Number of characters that exist, with the padding, which is 0; the last resort is uniform over it.
        order: Number of characters of the longest n-gram.
    """

    vocabulary: int
    order: int = 5
    _levels: list[_Level] = field(default_factory=list)

    def fit(self, texts: Sequence[Ids]) -> KneserNey:
        """Count the n-grams of texts of character numbers, each `[length]`, 1 to `vocabulary` - 1."""
        values = self._joined(texts)
        event = values > 0
        grams = np.zeros(len(values), np.int64)  # of each position, the n-gram that ends there
        found: list[tuple[Ids, Ids, Ids]] = []
        for _ in range(self.order):
            context = np.concatenate([np.zeros(1, np.int64), grams[:-1]])
            keys, first, grams = np.unique(context * self.vocabulary + values, return_index=True, return_inverse=True)
            found.append((keys, first, grams))
        for n, (keys, _, grams) in enumerate(found):
            if n + 1 < self.order:  # in how many different n-grams one character longer is it the end?
                starts = found[n + 1][1]
                counts = np.bincount(grams[starts], weights=event[starts], minlength=len(keys)).astype(np.float64)
            else:
                counts = np.bincount(grams, weights=event, minlength=len(keys)).astype(np.float64)
            self._levels.append(self._level(keys, counts, len(found[n - 1][0]) if n else 1))
        return self

    def _level(self, keys: Ids, counts: Real, contexts: int) -> _Level:
        context = keys // self.vocabulary
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        return _Level(
            keys,
            counts,
            np.bincount(context, weights=counts, minlength=contexts).astype(np.float64),
            np.bincount(context, weights=counts > 0, minlength=contexts).astype(np.float64),
            float(once / (once + 2 * twice)) if once else 0.0,
        )

    def _joined(self, texts: Iterable[Ids]) -> Ids:
        padding = np.zeros(self.order - 1, np.int64)
        return np.concatenate([part for text in texts for part in (padding, text)] or [padding])

    def probabilities(self, texts: Sequence[Ids]) -> Real:
        """Probability of each character of texts given the `order` - 1 before it, one text after the other."""
        values = self._joined(texts)
        p = np.full(len(values), 1 / self.vocabulary)
        grams = np.zeros(len(values), np.int64)
        for level in self._levels:
            context = np.concatenate([np.zeros(1, np.int64), grams[:-1]])
            wanted = np.where(context < 0, -1, context * self.vocabulary + values)
            different, back = np.unique(wanted, return_inverse=True)  # sorted queries are ten times as fast
            at = np.minimum(np.searchsorted(level.keys, different), len(level.keys) - 1)
            grams = np.where(level.keys[at] == different, at, -1)[back]
            counts = np.where(grams >= 0, level.counts[grams], 0.0)
            known = np.maximum(context, 0)
            total = np.where(context >= 0, level.total[known], 0.0)
            spare = level.discount * level.kinds[known] * p
            p = np.where(total > 0, (np.maximum(counts - level.discount, 0) + spare) / np.maximum(total, 1), p)
        return p[values > 0]

    def bits(self, texts: Sequence[Ids]) -> float:
        """Mean number of bits a character of texts."""
        return float(-np.log2(self.probabilities(texts)).mean())
