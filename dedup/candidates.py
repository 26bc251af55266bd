"""Candidate pairs of MinHash buckets, verified by their estimated similarity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dedup.clusters import distinct_pairs

__all__ = ["Rows", "Similar", "verified"]

_ALL_PAIRS = 16  # buckets up to this size are compared pair by pair
_LEADERS = 64  # larger ones with this many leaders at most

Rows: TypeAlias = npt.NDArray[np.int64]
"""Positions in a table of records."""

Similar: TypeAlias = Callable[[Rows, Rows], npt.NDArray[np.bool_]]
"""A function of rows left[i] and right[i] that says which pairs are similar."""


def verified(bucket: npt.NDArray[np.int64], index: Rows, similar: Similar) -> tuple[Rows, Rows, int]:
    """Verified pairs of the members of buckets.

    In small buckets all pairs are compared. In a large one, the first member that is not similar to any before it
    leads and is compared with all others, until each member has been similar to a leader.

    Args:
        bucket: Bucket of each member, sorted, [M].
        index: Record of each member, by rank within a bucket, [M].
        similar: Says which pairs of records are similar.

    Returns:
        First and second records of the verified pairs, and how many members were left when buckets had used up their
        leaders.
    """
    start = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    size = np.diff(np.append(start, len(bucket)))
    left, right = _pairs_of_small_buckets(index, start, size)
    near = similar(left, right)
    found = [np.stack([left[near], right[near]], axis=1)]
    unread = 0
    for begin, members in zip(start[size > _ALL_PAIRS].tolist(), size[size > _ALL_PAIRS].tolist(), strict=True):
        unread += _compare_with_leaders(index[begin : begin + members], similar, found)
    together = np.concatenate(found)
    return together[:, 0], together[:, 1], unread


def _pairs_of_small_buckets(
    index: Rows, start: npt.NDArray[np.int64], size: npt.NDArray[np.int64]
) -> tuple[Rows, Rows]:
    """All pairs of members of buckets up to `_ALL_PAIRS`; a pair that shares many bands comes once."""
    lefts, rights = [], []
    for members in range(2, _ALL_PAIRS + 1):
        begin = start[size == members]
        a, b = np.triu_indices(members, 1)
        lefts.append(index[(begin[:, None] + a).ravel()])
        rights.append(index[(begin[:, None] + b).ravel()])
    return distinct_pairs(np.concatenate(lefts), np.concatenate(rights))


def _compare_with_leaders(everyone: Rows, similar: Similar, found: list[npt.NDArray[np.int64]]) -> int:
    """Append pairs of leaders and members to `found`; returns how many members were not compared in the end."""
    waiting = np.ones(len(everyone), np.bool_)
    for _ in range(_LEADERS):
        first = np.flatnonzero(waiting)
        if len(first) == 0:
            break
        leader = np.full(len(everyone), everyone[first[0]])
        hit = similar(leader, everyone)
        hit[first[0]] = False
        waiting[hit] = False
        waiting[first[0]] = False
        found.append(np.stack([leader[hit], everyone[hit]], axis=1))
    return int(waiting.sum())
