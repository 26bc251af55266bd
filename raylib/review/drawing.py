"""Drawing decisions: more of them near the threshold, some everywhere, each with the number of records it stands for.

Records of a side (rejected, kept) of a source are put in the order of their distance to the threshold and cut into
classes, which get the same number of decisions each. The classes grow with the distance, so the neighbours of the
threshold are looked at closely, but no part of the range stays unseen: the best threshold may be far from the one that
the run had. Every record has a chance that is known, so estimates weigh each decision by one over it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from raylib.review.decisions import Decision
from raylib.review.population import Population, key_of
from raylib.review.rules import FinishedRun, ReviewedRule
from raylib.review.values import Floats

__all__ = ["draw"]


_OF_A_CLASS = 2  # decisions
_OF_A_SOURCE = 16  # decisions, below which sources are put together
_OTHERS = "\0others"
Rows = npt.NDArray[np.int64]


def draw(
    run: FinishedRun, rules: Sequence[ReviewedRule], found: Mapping[str, Population], sample: int
) -> list[Decision]:
    """Draw decisions of rules, the same ones every time.

    Args:
        run: The run.
        rules: The rules; each gets an equal part of the sample, as far as it made as many decisions.
        found: Populations of those that reject records, by label.
        sample: Number of decisions.

    Returns:
        The decisions, rule by rule; those of a rule in an order that does not tell what it decided.
    """
    made = {rule.label: _available(run, rule, found) for rule in rules}
    quotas = _shared(sample, [made[rule.label] for rule in rules])
    decisions: list[Decision] = []
    for rule, quota in zip(rules, quotas, strict=True):
        if rule.asks == "edits":
            part = _edits(run, rule, quota)
        else:
            part = _records(run, found[rule.label], quota)
        order = np.random.default_rng(zlib.crc32(rule.label.encode())).permutation(len(part))
        decisions += [part[i] for i in order]
    return decisions


def _available(run: FinishedRun, rule: ReviewedRule, found: Mapping[str, Population]) -> int:
    if rule.asks == "edits":
        return len(run.decisions["edits"].get(rule.label, []))
    return len(found[rule.label].ids)


def _shared(total: int, most: Sequence[int]) -> list[int]:
    """Equal parts of a number, none above its limit; what some cannot take goes to the others."""
    parts = [0] * len(most)
    while total > sum(parts) and any(p < m for p, m in zip(parts, most, strict=True)):
        open_ = [i for i, m in enumerate(most) if parts[i] < m]
        left = total - sum(parts)
        each = max(left // len(open_), 1)
        for i in open_[:left]:
            parts[i] += min(each, most[i] - parts[i])
    return parts


def _edits(run: FinishedRun, rule: ReviewedRule, quota: int) -> list[Decision]:
    """Edits of a rule, each for all that it stands for: the run drew one of each record that it drew."""
    edits = run.decisions["edits"].get(rule.label, [])[:quota]
    totals = run.summary.by_stage[rule.label]
    question, choices = Decision.asking("edits")
    return [
        Decision(
            answer="",
            question=question,
            choices=choices,
            rule=rule.label,
            parameter="",
            source=edit["source"] or "",
            id=edit["id"],
            decision="edited",
            value=None,
            threshold=None,
            evidence="",
            text=edit["left"],
            removed=edit["removed"],
            added=edit["added"],
            right=edit["right"],
            characters=edit["lost"],
            weight=round(edit["edits"] * max(totals.changed, len(edits)) / len(edits), 4),
            run=run.name,
        )
        for edit in edits
    ]


def _records(run: FinishedRun, population: Population, quota: int) -> list[Decision]:
    rows, weights = drawn_rows(population, quota)
    return [_decision(run, population, int(row), float(weight)) for row, weight in zip(rows, weights, strict=True)]


def _decision(run: FinishedRun, population: Population, row: int, weight: float) -> Decision:
    rule, threshold = population.rule, population.threshold
    source = str(population.sources[row])
    question, choices = Decision.asking("records")
    value = float(population.values[row])
    return Decision(
        answer="",
        question=question,
        choices=choices,
        rule=rule.label,
        parameter=threshold.parameter if threshold else "",
        source=source,
        id=population.ids[row],
        decision="rejected" if population.rejected[row] else "kept",
        value=round(value, 6) if np.isfinite(value) else None,
        threshold=rule.current(threshold, source) if threshold else None,
        evidence=population.details[row],
        text=population.texts[row],
        removed="",
        added="",
        right="",
        characters=int(population.characters[row]),
        weight=round(weight, 4),
        run=run.name,
    )


def drawn_rows(population: Population, quota: int) -> tuple[Rows, Floats]:
    """Rows of a population to be judged, and the number of records that each stands for.

    Args:
        population: N records.
        quota: Number of rows.

    Returns:
        M rows, and their weights, [M].
    """
    quota = min(quota, len(population.ids))
    random = np.random.default_rng(zlib.crc32(population.rule.label.encode()))
    groups = _groups(population, quota)
    names = list(dict.fromkeys(groups.tolist()))
    members = [np.flatnonzero(groups == name) for name in names]
    rows: list[Rows] = []
    weights: list[Floats] = []
    for group, part in zip(members, _shared(quota, [len(m) for m in members]), strict=True):
        sides = [group[population.rejected[group]], group[~population.rejected[group]]]
        for side, count in zip(sides, _shared(part, [len(s) for s in sides]), strict=True):
            for one, number in _classes(population, side, count):
                picked = one[np.sort(random.choice(len(one), number, replace=False))]
                share = population.weights[one].sum() / population.weights[picked].sum()
                rows.append(picked)
                weights.append(population.weights[picked] * share)
    return np.concatenate([np.zeros(0, np.int64), *rows]), np.concatenate([np.zeros(0), *weights])


def _groups(population: Population, quota: int) -> npt.NDArray[np.str_]:
    """Sources that get decisions of their own; the smallest ones together."""
    names, counts = np.unique(population.sources, return_counts=True)
    most = max(quota // _OF_A_SOURCE, 1)
    if len(names) <= most:
        return population.sources
    own = set(names[np.argsort(-counts, kind="stable")[: most - 1]].tolist())
    return np.array([s if s in own else _OTHERS for s in population.sources.tolist()], np.str_)


def _classes(population: Population, side: Rows, count: int) -> Iterable[tuple[Rows, int]]:
    """Classes of the records of a side, nearest to the threshold first, each with its number of decisions."""
    if count == 0:
        return
    ordered = side[_by_distance(population, side)]
    edges = _edges(len(ordered), max(count // _OF_A_CLASS, 1))
    parts = [ordered[a:b] for a, b in pairwise(edges)]
    yield from zip(parts, _shared(count, [len(p) for p in parts]), strict=True)


def _by_distance(population: Population, side: Rows) -> Rows:
    """Positions of records in the order of their distance to the threshold of their source."""
    threshold = population.threshold
    if threshold is None:
        return np.arange(len(side))
    current = np.array([population.rule.current(threshold, str(s)) for s in population.sources[side]])
    distance = np.abs(population.keys[side] - key_of(threshold, current))
    return np.argsort(distance, kind="stable")


def _edges(size: int, classes: int) -> list[int]:
    """Borders of classes that are the larger the farther they are from the threshold."""
    edges = size * (np.arange(classes + 1) / classes) ** 2
    return [int(e) for e in np.unique(np.round(edges).astype(np.int64))]
