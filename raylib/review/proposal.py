"""The curve of a rule over its threshold, and the threshold that is best for what was judged.

Best is the threshold with the largest expected F1, where a hit is a bad text that is rejected. Its interval comes from
resamples of the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from raylib.review.chance import Chances, fitted
from raylib.review.population import Population, key_of
from raylib.review.values import Floats
from raylib.stage import Threshold

__all__ = ["Judged", "Point", "Proposal", "curve", "proposals"]


_RESAMPLES = 40
_LEAST_ANSWERS = 5  # of good, and of bad, texts
_POINTS = 40  # of a curve, spread evenly, and as many that are denser where few texts are rejected
_INTERVAL = (0.025, 0.975)
Rows: TypeAlias = npt.NDArray[np.int64]

POOLED = ""
"""Stands for all sources together among the proposals."""


@dataclass(frozen=True)
class Judged:
    """Answers about texts, M of them.

    Attributes:
        keys: Keys of the texts, [M].
        bad: Whether each is bad, 0 or 1, [M].
        sources: Their sources, [M].
    """

    keys: Floats
    bad: Floats
    sources: npt.NDArray[np.str_]

    @property
    def enough(self) -> bool:
        """Whether both good and bad texts were found."""
        return bool(min(self.bad.sum(), len(self.bad) - self.bad.sum()) >= _LEAST_ANSWERS)

    def resampled(self, random: np.random.Generator) -> Judged:
        """As many answers, drawn with replacement."""
        rows = random.integers(0, len(self.bad), len(self.bad))
        return Judged(self.keys[rows], self.bad[rows], self.sources[rows])


@dataclass(frozen=True)
class Point:
    """A point of the curve."""

    threshold: float
    precision: float
    recall: float
    f1: float

    def to_json(self) -> dict[str, float]:
        """The point as JSON."""
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {"threshold": self.threshold, **{k: round(v, 4) for k, v in shares.items()}}


@dataclass(frozen=True)
class Proposal:
    """A threshold that is proposed.

    Attributes:
        threshold: The threshold.
        low: Lower end of its interval.
        high: Upper end of its interval.
        f1: Expected F1 with it.
        f1_of_current: Expected F1 with the threshold that the run had.
    """

    threshold: float
    low: float
    high: float
    f1: float
    f1_of_current: float

    def to_json(self) -> dict[str, float]:
        """The proposal as JSON."""
        return {
            "threshold": self.threshold,
            "low": self.low,
            "high": self.high,
            "f1": round(self.f1, 4),
            "f1_of_current": round(self.f1_of_current, 4),
        }


@dataclass(frozen=True)
class _Expected:
    """Expected counts of a population over thresholds between its keys; position i rejects the first i records."""

    keys: Floats
    caught: Floats
    rejected: Floats

    @classmethod
    def of(cls, keys: Floats, chances: Floats, weights: Floats) -> _Expected:
        """Counts of records with these keys, chances to be bad, and weights."""
        order = np.argsort(keys, kind="stable")
        caught = np.concatenate([[0.0], np.cumsum((chances * weights)[order])])
        return cls(keys[order], caught, np.concatenate([[0.0], np.cumsum(weights[order])]))

    @property
    def f1(self) -> Floats:
        """F1 at each position."""
        return np.asarray(2 * self.caught / np.maximum(self.rejected + self.caught[-1], 1e-12), np.float64)

    @property
    def best(self) -> int:
        """Position of the largest F1 among those that a threshold can have."""
        return int(self.possible[np.argmax(self.f1[self.possible])])

    @property
    def possible(self) -> npt.NDArray[np.int64]:
        """Positions between records with different keys, where one of them is finite."""
        before, after = np.append(-np.inf, self.keys), np.append(self.keys, np.inf)
        return np.flatnonzero((before < after) & (np.isfinite(before) | np.isfinite(after)))

    def key(self, position: int) -> float:
        """A threshold at a position: one with few digits between the keys on both sides."""
        before = self.keys[position - 1] if position else -np.inf
        after = self.keys[position] if position < len(self.keys) else np.inf
        return _short(float(before), float(after))

    def at(self, key: float) -> int:
        """The position of a threshold."""
        return int(np.searchsorted(self.keys, key, "left"))


def _short(before: float, after: float) -> float:
    """The number with the fewest digits above `before` and not above `after`."""
    if not np.isfinite(before):
        return after
    if not np.isfinite(after):
        after = before + max(abs(before), 1e-3)
    middle = (before + after) / 2
    for digits in range(1, 8):
        rounded = float(f"{middle:.{digits}g}")
        if before < rounded <= after:
            return rounded
    return after


def proposals(population: Population, judged: Judged, own: Sequence[str]) -> dict[str, Proposal]:
    """Propose thresholds for all sources together and for some of them alone.

    Args:
        population: Records that the rule decided about.
        judged: Answers about some of them.
        own: Sources to propose a threshold of their own for.

    Returns:
        Proposals by source, "" for all together; empty if too few good or too few bad texts were found.
    """
    threshold = population.threshold
    if threshold is None or not judged.enough or not np.isfinite(population.values).any():
        return {}
    chances, weights = fitted(population.keys, judged.keys, judged.bad, judged.sources)
    random = np.random.default_rng(0)
    resampled = []
    for _ in range(_RESAMPLES):
        again = judged.resampled(random)
        resampled.append(fitted(population.keys, again.keys, again.bad, again.sources, weights)[0])
    made = {}
    for source in (POOLED, *own):
        rows = np.flatnonzero(population.sources == source) if source else np.arange(len(population.ids))
        if np.isfinite(population.values[rows]).any():
            made[source] = _proposal(population, threshold, rows, chances, resampled)
    return made


def _proposal(
    population: Population,
    threshold: Threshold,
    rows: npt.NDArray[np.int64],
    chances: Chances,
    again: Sequence[Chances],
) -> Proposal:
    expected = _expected(population, rows, chances)
    best = expected.best
    others = [e.key(e.best) for e in (_expected(population, rows, one) for one in again)]
    low, high = np.quantile(others, _INTERVAL)
    proposed = expected.key(best)
    ends = sorted(_value(threshold, key) for key in (min(low, proposed), max(high, proposed)))
    return Proposal(
        threshold=_value(threshold, proposed),
        low=ends[0],
        high=ends[1],
        f1=float(expected.f1[best]),
        f1_of_current=_f1_of_current(population, threshold, rows, chances),
    )


def _value(threshold: Threshold, key: float) -> float:
    """The threshold that a key stands for."""
    value = float(key_of(threshold, np.array([key]))[0])
    if threshold.whole:  # the same texts are rejected: below 5.2 is below 6, above 5.2 is above 5
        value = np.ceil(value) if threshold.rejects == "below" else np.floor(value)
    return float(f"{min(max(value, threshold.low), threshold.high):.4g}")


def _expected(population: Population, rows: npt.NDArray[np.int64], chances: Chances) -> _Expected:
    keys = population.keys[rows]
    return _Expected.of(keys, chances.of(keys, population.sources[rows]), population.weights[rows])


def _f1_of_current(
    population: Population, threshold: Threshold, rows: npt.NDArray[np.int64], chances: Chances
) -> float:
    """Expected F1 of the thresholds that the run had, which may differ between sources."""
    names = {str(s): population.rule.current(threshold, str(s)) for s in np.unique(population.sources[rows])}
    current = key_of(threshold, np.array([names[str(s)] for s in population.sources[rows]]))
    keys, weights = population.keys[rows], population.weights[rows]
    bad = chances.of(keys, population.sources[rows]) * weights
    out = keys < current
    return float(2 * bad[out].sum() / max(weights[out].sum() + bad.sum(), 1e-12))


def curve(population: Population, judged: Judged) -> list[Point]:
    """Expected precision, recall and F1 over the threshold.

    Args:
        population: Records that the rule decided about.
        judged: Answers about some of them.

    Returns:
        Points, the loosest threshold first; empty if too few good or too few bad texts were found.
    """
    threshold = population.threshold
    if threshold is None or not judged.enough or not np.isfinite(population.values).any():
        return []
    chances, _ = fitted(population.keys, judged.keys, judged.bad, judged.sources)
    expected = _expected(population, np.arange(len(population.ids)), chances)
    possible, total = expected.possible, max(float(expected.caught[-1]), 1e-12)
    last = len(possible) - 1
    places = np.concatenate([np.linspace(0, last, _POINTS), np.geomspace(1, max(last, 1), _POINTS) - 1])
    chosen = possible[np.unique(places.round().astype(np.int64))]
    return [
        Point(
            threshold=_value(threshold, expected.key(int(i))),
            precision=float(expected.caught[i] / max(float(expected.rejected[i]), 1e-12)) if i else 1.0,
            recall=float(expected.caught[i] / total),
            f1=float(expected.f1[i]),
        )
        for i in chosen
    ]
