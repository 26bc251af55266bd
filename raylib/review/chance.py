"""The chance that a text is bad, as a function of its value, from some texts that were judged.

Four descriptions of that function are fitted: a logistic curve that levels off above 0 and below 1, over values and
over ranks; a plain logistic curve over ranks as quantiles of a normal distribution; and a falling staircase, averaged
over resamples. Each predicts answers that it has not seen, and gets a weight by how well it does (stacking, Wolpert
1992); half of the weight is shared equally, because a hundred answers do not tell for sure which description is right.
A curve of a fixed form is right for scores of models, and the staircase for values where the chance drops at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtri
from sklearn.isotonic import isotonic_regression

from raylib.review.values import Floats

__all__ = ["Chances", "fitted"]


Rows: TypeAlias = npt.NDArray[np.int64]
Predict: TypeAlias = Callable[[Floats], Floats]
Fit: TypeAlias = Callable[[Floats, Floats], Predict]

_FOLDS = 10
_BAGS = 25
_FAR = 4.0  # standard deviations, beyond which a value counts as one at that distance
_LEAST = 0.005  # chance that is predicted at least, and left at most
_SPREAD = 0.7  # of sources, on the scale of log-odds: how different their chances may be before anything is known


@dataclass(frozen=True)
class _Scale:
    """The population as a scale for values: N values that are finite, sorted."""

    ordered: Floats

    def rank(self, keys: Floats) -> Floats:
        """Where values lie among all, 0 to 1."""
        left = np.searchsorted(self.ordered, keys, "left")
        right = np.searchsorted(self.ordered, keys, "right")
        return np.clip((left + right) / 2, 0.5, len(self.ordered) - 0.5) / len(self.ordered)

    def standard(self, keys: Floats) -> Floats:
        """Values with a mean of 0 and a standard deviation of 1."""
        spread = max(float(self.ordered.std()), 1e-12)
        return np.asarray(np.clip((keys - self.ordered.mean()) / spread, -_FAR, _FAR), np.float64)


@dataclass(frozen=True)
class Chances:
    """Chances of texts to be bad.

    Attributes:
        predict: Function of keys that are finite.
        never: Chance of a text that is kept at every threshold.
        always: Chance of a text that is rejected at every threshold.
        shifts: What is added to the log-odds for texts of a source.
    """

    predict: Predict
    never: float
    always: float
    shifts: dict[str, float]

    def of(self, keys: Floats, sources: npt.NDArray[np.str_]) -> Floats:
        """The chances of texts with these keys, of these sources."""
        finite = np.isfinite(keys)
        chance = np.where(keys > 0, self.never, self.always)
        if finite.any():
            chance[finite] = self.predict(keys[finite])
        shift = np.array([self.shifts.get(str(s), 0.0) for s in sources])
        return np.asarray(expit(logit(np.clip(chance, _LEAST, 1 - _LEAST)) + shift), np.float64)


def fitted(
    population: Floats, keys: Floats, bad: Floats, sources: npt.NDArray[np.str_], weights: Sequence[float] | None = None
) -> tuple[Chances, list[float]]:
    """Fit chances to answers.

    Args:
        population: Keys of all texts; a text is rejected if its key is less than that of the threshold.
        keys: Keys of the texts that were judged, [M].
        bad: Whether each is bad, 0 or 1, [M].
        sources: Their sources, [M].
        weights: Weights of the descriptions from an earlier fit, for a quick one to resampled answers; None to find
            them.

    Returns:
        The chances, and the weights of the descriptions.
    """
    scale = _Scale(np.sort(population[np.isfinite(population)]))
    finite = np.isfinite(keys)
    descriptions = _descriptions(scale, _BAGS if weights is None else 1)
    x, y = keys[finite], bad[finite]
    found = list(weights) if weights is not None else _stacked(descriptions, x, y)
    parts = [fit(x, y) for fit in descriptions] if len(y) else []
    mean = float((bad.sum() + 0.5) / (len(bad) + 1))

    def predict(at: Floats) -> Floats:
        if not parts:
            return np.full(len(at), mean)
        return np.asarray(sum(w * part(at) for w, part in zip(found, parts, strict=True)), np.float64)

    def group(which: npt.NDArray[np.bool_]) -> float:
        return float((bad[which].sum() + mean) / (which.sum() + 1))

    chances = Chances(predict, group(np.isposinf(keys)), group(np.isneginf(keys)), {})
    base = logit(np.clip(chances.of(keys, sources), _LEAST, 1 - _LEAST))
    names = np.unique(sources).tolist()
    shifts = {n: _shift(base[sources == n], bad[sources == n]) for n in names} if len(names) > 1 else {}
    return Chances(predict, chances.never, chances.always, shifts), found


def _shift(base: Floats, bad: Floats) -> float:
    """How far the log-odds of a source lie from those of all; the fewer the answers, the nearer to 0."""
    shift = 0.0
    for _ in range(20):
        chance = expit(base + shift)
        slope = (bad - chance).sum() - shift / _SPREAD**2
        shift += float(np.clip(slope / ((chance * (1 - chance)).sum() + 1 / _SPREAD**2), -1, 1))
    return shift


def _descriptions(scale: _Scale, bags: int) -> list[Fit]:
    return [
        lambda keys, bad: _levelled(scale.standard, keys, bad),
        lambda keys, bad: _levelled(lambda k: 3.46 * (scale.rank(k) - 0.5), keys, bad),
        lambda keys, bad: _logistic(lambda k: ndtri(scale.rank(k)), keys, bad),
        lambda keys, bad: _staircase(scale.rank, keys, bad, bags),
    ]


def _stacked(descriptions: Sequence[Fit], keys: Floats, bad: Floats) -> list[float]:
    """Weights with which the descriptions together predict answers best that they have not seen."""
    folds = np.random.default_rng(3).permutation(np.arange(len(keys)) % _FOLDS)
    likely = np.ones((len(descriptions), len(keys)))
    for number, fit in enumerate(descriptions):
        for fold in np.unique(folds):
            out = folds == fold
            chance = np.clip(fit(keys[~out], bad[~out])(keys[out]), _LEAST, 1 - _LEAST)
            likely[number, out] = np.where(bad[out] > 0, chance, 1 - chance)
    weights = np.full(len(descriptions), 1 / len(descriptions))
    for _ in range(200):  # expectation-maximisation of a mixture with known parts
        share = weights[:, None] * likely
        weights = (share / share.sum(0)).sum(1) / max(len(keys), 1) if len(keys) else weights
    return [float(w) for w in (weights + 1 / len(descriptions)) / 2]


def _logistic(scale: Predict, keys: Floats, bad: Floats) -> Predict:
    """A logistic curve, with a little ridge on its slope; it falls."""
    features = np.c_[np.ones(len(keys)), scale(keys)]
    ridge = np.diag([1e-6, 0.1])
    beta = np.zeros(2)
    for _ in range(30):
        chance = expit(features @ beta)
        slope = features.T @ (chance - bad) + ridge @ beta
        curvature = (features * (chance * (1 - chance) + 1e-9)[:, None]).T @ features + ridge
        beta = beta - np.clip(np.linalg.solve(curvature, slope), -2, 2)
    level, fall = float(beta[0]), min(float(beta[1]), 0.0)
    return lambda at: np.asarray(expit(level + fall * scale(at)), np.float64)


def _levelled(scale: Predict, keys: Floats, bad: Floats) -> Predict:
    """A logistic curve between two levels, which answers of different minds cause."""
    at_keys = scale(keys)

    def chance(parameters: Floats, at: Floats) -> Floats:
        low, high = 0.5 * expit(parameters[2]), 0.5 * expit(parameters[3])
        inside = expit(parameters[0] - np.exp(np.clip(parameters[1], -5, 5)) * at)
        return np.asarray(low + (1 - low - high) * inside, np.float64)

    def loss(parameters: Floats) -> float:
        p = np.clip(chance(parameters, at_keys), 1e-4, 1 - 1e-4)
        fit = -(bad * np.log(p) + (1 - bad) * np.log(1 - p)).sum()
        return float(fit + 0.05 * parameters[1] ** 2 + 0.1 * ((parameters[2:] + 2.5) ** 2).sum())

    start = np.array([float(logit(np.clip(bad.mean(), 0.05, 0.95))), 0.5, -2.5, -2.5]) if len(bad) else np.zeros(4)
    best = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 40}).x
    return lambda at: chance(best, scale(at))


def _staircase(scale: Predict, keys: Floats, bad: Floats, bags: int) -> Predict:
    """A falling staircase, averaged over resamples of the answers."""
    random = np.random.default_rng(1)
    ranks = scale(keys)
    steps = []
    for number in range(bags if len(keys) else 0):
        rows = random.integers(0, len(keys), len(keys)) if number else np.arange(len(keys))
        rows = rows[np.argsort(ranks[rows], kind="stable")]
        steps.append((ranks[rows], isotonic_regression(bad[rows], increasing=False)))
    if not steps:
        return lambda at: np.full(len(at), 0.5)
    return lambda at: np.asarray(np.mean([np.interp(scale(at), x, y) for x, y in steps], axis=0), np.float64)
