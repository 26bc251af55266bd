"""Estimates from decisions that were judged, each with an interval in which the true number lies in 95 of 100 cases.

Decisions stand for different numbers of records, so a share is a weighted one, and its interval that of as many equal
decisions as would vary as much (Kish's effective number). Shares have Jeffreys' interval, which is right near 0 and 1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from raylib.review.values import Floats

__all__ = ["Estimate", "amount", "ratio_of_parts", "share"]


_INTERVAL = (0.025, 0.975)
_DRAWS = 20_000

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated.

    Attributes:
        estimate: The number.
        low: Lower end of its interval.
        high: Upper end of its interval.
        answers: Number of answers that it rests on.
    """

    estimate: float
    low: float
    high: float
    answers: int

    def to_json(self) -> dict[str, float]:
        """The estimate as JSON, rounded to what it can mean."""
        return {key: round(value, 4) if key != "answers" else value for key, value in asdict(self).items()}

    def times(self, factor: float) -> Estimate:
        """The estimate of a multiple."""
        return Estimate(self.estimate * factor, self.low * factor, self.high * factor, self.answers)


def _posterior(hits: Flags, weights: Floats) -> tuple[float, float]:
    """Parameters of the beta distribution of a weighted share."""
    number = weights.sum() ** 2 / max(float((weights**2).sum()), 1e-300)
    found = number * float((weights * hits).sum() / max(weights.sum(), 1e-300))
    return found + 0.5, number - found + 0.5


def share(hits: Flags, weights: Floats) -> Estimate | None:
    """Estimate the share of hits.

    Args:
        hits: Whether each of N decisions is one.
        weights: What each stands for, [N].

    Returns:
        The share; None if there are no decisions that stand for anything.
    """
    if len(hits) == 0 or weights.sum() <= 0:
        return None
    low, high = beta.ppf(_INTERVAL, *_posterior(hits, weights))
    estimate = float((weights * hits).sum() / weights.sum())
    return Estimate(estimate, min(float(low), estimate), max(float(high), estimate), len(hits))


def ratio_of_parts(
    first: tuple[Flags, Floats], second: tuple[Flags, Floats], sizes: tuple[float, float]
) -> Estimate | None:
    """Estimate which part of all hits the first of two groups holds: the recall of a rule, from rejects and keeps.

    Args:
        first: Hits and weights of decisions of the first group.
        second: Hits and weights of decisions of the second group.
        sizes: Number of records of both groups.

    Returns:
        The ratio; None without decisions of one of the groups, or without any hit.
    """
    sides = [(hits, weights, size) for (hits, weights), size in zip((first, second), sizes, strict=True) if size > 0]
    if not sides or any(len(hits) == 0 for hits, _, _ in sides) or not any(hits.any() for hits, _, _ in sides):
        return None
    random = np.random.default_rng(0)
    drawn, exact = np.zeros((2, _DRAWS)), np.zeros(2)
    for number, ((hits, weights), size) in enumerate(zip((first, second), sizes, strict=True)):
        if size > 0:
            drawn[number] = size * random.beta(*_posterior(hits, weights), _DRAWS)
            exact[number] = size * float((weights * hits).sum() / weights.sum())
    low, high = np.quantile(drawn[0] / drawn.sum(0), _INTERVAL)
    estimate = float(exact[0] / exact.sum())
    return Estimate(
        estimate, min(float(low), estimate), max(float(high), estimate), sum(len(hits) for hits, _, _ in sides)
    )


def amount(hits: Flags, weights: Floats, sizes: Floats, total: float) -> Estimate | None:
    """Estimate how much of an amount belongs to hits, such as characters to good texts that were rejected.

    Args:
        hits: Whether each of N decisions is one.
        weights: What each stands for, [N].
        sizes: Its part of the amount, [N].
        total: The whole amount.

    Returns:
        The amount of the hits; None without decisions.
    """
    if len(hits) == 0:
        return None
    found = share(hits, weights * sizes)
    return Estimate(0.0, 0.0, 0.0, len(hits)) if found is None else found.times(total)
