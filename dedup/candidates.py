"""Candidate pairs of MinHash buckets, verified by their estimated similarity."""

from __future__ import annotations

from typing import Any

import numpy as np

from dedup.clusters import distinct_pairs
from dedup.signatures import Matrix

__all__ = ["verified"]


_ALL_PAIRS = 16  # buckets up to this size are compared pair by pair
_LEADERS = 64  # larger ones with this many leaders at most


def verified(bucket: Matrix, index: Matrix, similar: Any) -> tuple[Matrix, Matrix, int]:
    """Verified pairs of the members of buckets, which are sorted by bucket and rank.

    Small buckets: all pairs. Large ones: the first member that is similar to none before it leads, and
    is compared with all others; so on until each has been similar to a leader. Returns the pairs and
    how many members were left when a bucket had used up its leaders.
    """
    start = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    size = np.diff(np.append(start, len(bucket)))
    lefts, rights = [], []
    for members in range(2, _ALL_PAIRS + 1):
        begin = start[size == members]
        a, b = np.triu_indices(members, 1)
        left, right = (begin[:, None] + a).ravel(), (begin[:, None] + b).ravel()
        lefts.append(index[left])
        rights.append(index[right])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    left, right = distinct_pairs(left, right)  # a pair that shares many bands is compared once
    near = similar(left, right)
    found = [np.stack([left[near], right[near]], axis=1)]
    unread = 0
    for begin, members in zip(start[size > _ALL_PAIRS].tolist(), size[size > _ALL_PAIRS].tolist(), strict=True):
        everyone = index[begin : begin + members]
        open_ = np.ones(members, np.bool_)
        for _ in range(_LEADERS):
            waiting = np.flatnonzero(open_)
            if len(waiting) == 0:
                break
            leader = np.full(members, everyone[waiting[0]])
            hit = similar(leader, everyone)
            hit[waiting[0]] = False
            open_[hit] = False
            open_[waiting[0]] = False
            found.append(np.stack([leader[hit], everyone[hit]], axis=1))
        unread += int(open_.sum())
    together = np.concatenate(found)
    return together[:, 0], together[:, 1], unread
