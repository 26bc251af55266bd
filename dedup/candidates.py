"""Candidates of MinHash: records that share a bucket are compared, and similar ones are connected."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dedup.clusters import distinct_pairs
from dedup.signatures import LowBytes

__all__ = ["Rows", "Similar", "connected"]

_ALL_PAIRS = 16  # buckets up to this size are compared pair by pair
_LEADERS = 64  # larger ones with this many leaders at most
_MEMBERS_AT_ONCE = 1 << 16  # members of buckets whose pairs are looked up at one time

Rows: TypeAlias = npt.NDArray[np.int64]
"""Positions in a table of records."""

Similar: TypeAlias = Callable[[Rows, Rows], npt.NDArray[np.bool_]]
"""A function of rows left[i] and right[i] that says which pairs are similar."""


def connected(
    bucket: npt.NDArray[np.int64], index: Rows, low: LowBytes, least: int, similar: Similar | None = None
) -> tuple[Rows, int]:
    """Connect the similar members of buckets.

    In small buckets all pairs are compared. In a large one, the first member that is not similar to any before it
    leads and is compared with all others, until each member has been similar to a leader. Two members that others have
    connected before are not looked at again, so memory is bounded by the number of records, not of pairs.

    Args:
        bucket: Bucket of each member, sorted, [M].
        index: Record of each member, by rank within a bucket, [M].
        low: Low bytes of the records' signatures, [N, P].
        least: Number of positions in which signatures agree, for a pair to be similar.
        similar: What says for such pairs whether they really are; by default all of them.

    Returns:
        For each record the smallest one that it is connected with, [N], and how many members were left when buckets had
        used up their leaders.
    """
    from dedup import pair_kernels as kernels  # noqa: PLC0415 - numba loads in a second

    starts = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1], [True]]))
    forest = np.arange(len(low))
    most = _ALL_PAIRS, _LEADERS
    out = np.empty((0, 2), np.int64)
    unread, joining = 0, similar is None
    for batch in [starts] if joining else _batches(starts):
        count, left = kernels.similar_pairs(batch, index, low, least, forest, joining, most, out)
        unread += left
        if similar is None:
            continue
        if count > len(out):
            out = np.empty((count, 2), np.int64)
            kernels.similar_pairs(batch, index, low, least, forest, joining, most, out)
        one, other = distinct_pairs(out[:count, 0], out[:count, 1])
        true = similar(one, other)
        kernels.join_pairs(forest, one[true], other[true])
    kernels.roots(forest)
    return forest, unread


def _batches(starts: Rows) -> list[Rows]:
    """The borders of buckets cut into batches, of some thousand members or of one bucket."""
    cuts = [*np.flatnonzero(np.diff(starts[:-1] // _MEMBERS_AT_ONCE, prepend=-1)).tolist(), len(starts) - 1]
    return [starts[first : last + 1] for first, last in itertools.pairwise(cuts)]
