"""Which record stands for which in a component of near duplicates: every removed one is similar to the one that stays.

A component is a chain of similar pairs, so its ends may have nothing in common. Its members are therefore looked at in
order of preference. Each is compared with those that stay so far, in their order, and joins the first one that it is
similar to; if there is none, it stays itself. The result depends on the order alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dedup.clusters import Nodes
from dedup.signatures import LowBytes, estimated_jaccard, joined_to_leaders, least_agreement

__all__ = ["SLACK", "Twins", "by_estimate", "by_truth", "twins_of"]

Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Truth = Callable[[Rows, Rows], Numbers]
"""A function of rows left[i] and right[i] that looks up their true similarities."""

SLACK = 0.1
"""By how much an estimate may lie below a true similarity that is still looked up."""


@dataclass(frozen=True)
class Twins:
    """Members of components in order of preference, with those of equal texts as one.

    Attributes:
        heads: The first row of each group of equal texts, ascending, [U].
        group: Position in `heads` of each row's group, [N].
    """

    heads: Rows
    group: Rows


def twins_of(component: Nodes, twin: npt.NDArray[np.uint64]) -> Twins:
    """Group the rows of a component that have equal texts.

    Args:
        component: Component of each row, equal ones together, [N].
        twin: Hash of each row's tokens, [N].
    """
    order = np.lexsort((twin, component))  # stable: the first row of a group comes first
    opens = np.ones(len(order), np.bool_)
    opens[1:] = (component[order][1:] != component[order][:-1]) | (twin[order][1:] != twin[order][:-1])
    first = order[opens]
    heads = np.sort(first)
    group = np.empty(len(order), np.int64)
    group[order] = np.searchsorted(heads, first)[np.cumsum(opens) - 1]
    return Twins(heads, group)


def by_estimate(component: Nodes, low: LowBytes, threshold: float, bands: int, rows: int) -> tuple[Rows, Numbers]:
    """For members in order of preference the row of the one that stays, and the estimated similarity to it.

    The first 256 of a component that stay are compared with every later member; others with the later members that
    share a band with them.

    Args:
        component: Component of each member, equal ones together, [N].
        low: Low bytes of their signatures, [N, P].
        threshold: Least similarity of duplicates.
        bands: Number of bands of a signature.
        rows: Number of values of a band.

    Returns:
        The row of the member that stays (its own for that one) [N], and similarities [N].
    """
    borders = np.flatnonzero(np.concatenate([[True], component[1:] != component[:-1], [True]]))
    keeper = joined_to_leaders(low, borders, least_agreement(threshold, low.shape[1]), bands, rows)
    return keeper, estimated_jaccard(low, keeper, np.arange(len(keeper)))


def by_truth(component: Nodes, low: LowBytes, threshold: float, truth: Truth) -> tuple[Rows, Numbers]:
    """The same by true similarity, which is looked up where the estimate is not far below the threshold.

    Args:
        component: Component of each member, equal ones together, [N].
        low: Low bytes of their signatures, [N, P].
        threshold: Least similarity of duplicates.
        truth: Looks up true similarities.

    Returns:
        As `by_estimate`.
    """
    keeper = np.arange(len(component))
    similarity = np.ones(len(component))
    rest = keeper
    while len(rest):
        # in each round the first member that is left of every component stays
        opens = np.concatenate([[True], component[rest][1:] != component[rest][:-1]])
        leader = rest[np.maximum.accumulate(np.where(opens, np.arange(len(rest)), 0))]
        rest, leader = rest[~opens], leader[~opens]
        near = estimated_jaccard(low, leader, rest) >= threshold - SLACK
        true = np.zeros(len(rest))
        true[near] = truth(leader[near], rest[near])
        joined = near & (true >= threshold)
        keeper[rest[joined]], similarity[rest[joined]] = leader[joined], true[joined]
        rest = rest[~joined]
    return keeper, similarity
