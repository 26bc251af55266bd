"""Compiled loops over buckets of candidates: which records are similar, and what is connected by them (union-find).

A forest holds for each record one of its component that is not larger than itself; a root points at itself. Roots are
the smallest of their components, so the order in which pairs are joined does not matter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dedup.kernels import agree
from raylib.compiled import compiled

__all__ = ["join_pairs", "roots", "similar_pairs"]


@compiled(nogil=True)
def _root(forest: npt.NDArray[np.int64], record: int) -> int:
    """The root of a record's component; what lies on the way there comes nearer to it."""
    while forest[record] != record:
        forest[record] = forest[forest[record]]
        record = forest[record]
    return record


@compiled(nogil=True)
def _join(forest: npt.NDArray[np.int64], left: int, right: int) -> None:
    """Make one component of those of two records."""
    a, b = _root(forest, left), _root(forest, right)
    forest[max(a, b)] = min(a, b)


@compiled(nogil=True)
def join_pairs(forest: npt.NDArray[np.int64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> None:
    """Join the components of the records left[i] and right[i].

    Args:
        forest: Forest of N records.
        left: Records, [K].
        right: Records, [K].
    """
    for i in range(len(left)):
        _join(forest, left[i], right[i])


@compiled(nogil=True)
def roots(forest: npt.NDArray[np.int64]) -> None:
    """Let every record point at the root of its component.

    Args:
        forest: Forest of N records.
    """
    for record in range(len(forest)):
        forest[record] = forest[forest[record]]  # the one that it points at is not larger, so it points at its root


@compiled(nogil=True)
def _take(
    left: int, right: int, forest: npt.NDArray[np.int64], joining: bool, count: int, out: npt.NDArray[np.int64]
) -> int:
    """Join two similar records that are not connected, or note them; returns the number of pairs after it."""
    if joining:
        _join(forest, left, right)
    elif count < len(out):
        out[count, 0], out[count, 1] = min(left, right), max(left, right)
    return count + 1


@compiled(nogil=True)
def _all_pairs(
    member: npt.NDArray[np.int64],
    signatures: npt.NDArray[np.uint8],
    least: int,
    forest: npt.NDArray[np.int64],
    joining: bool,
    count: int,
    out: npt.NDArray[np.int64],
) -> int:
    """Compare each member of a small bucket with each other; returns the number of pairs after it."""
    for i in range(len(member)):
        for k in range(i + 1, len(member)):
            a, b = member[i], member[k]
            if _root(forest, a) != _root(forest, b) and agree(signatures, a, b) >= least:
                count = _take(a, b, forest, joining, count, out)
    return count


@compiled(nogil=True)
def _with_leaders(
    member: npt.NDArray[np.int64],
    signatures: npt.NDArray[np.uint8],
    least: int,
    forest: npt.NDArray[np.int64],
    joining: bool,
    count: int,
    out: npt.NDArray[np.int64],
    leaders: int,
) -> tuple[int, int]:
    """Compare the leaders of a large bucket with its members; the number of pairs after it, and of members left."""
    waiting = np.ones(len(member), np.bool_)
    left = len(member)
    first = 0
    while first < len(member) and leaders > 0:
        if not waiting[first]:
            first += 1
            continue
        leaders -= 1
        waiting[first] = False
        left -= 1
        for k in range(len(member)):
            if k != first and agree(signatures, member[first], member[k]) >= least:
                left -= waiting[k]
                waiting[k] = False
                if _root(forest, member[first]) != _root(forest, member[k]):
                    count = _take(member[first], member[k], forest, joining, count, out)
    return count, left


@compiled(nogil=True)
def similar_pairs(
    starts: npt.NDArray[np.int64],
    records: npt.NDArray[np.int64],
    signatures: npt.NDArray[np.uint8],
    least: int,
    forest: npt.NDArray[np.int64],
    joining: bool,
    most: tuple[int, int],
    out: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Find the pairs of similar members of buckets that are not connected yet.

    Args:
        starts: Where each bucket begins, and the last one ends, [B + 1].
        records: Record of each member, by rank within a bucket, [M].
        signatures: Low bytes of the signatures of N records, [N, P].
        least: Number of positions in which similar signatures agree.
        forest: Forest of the records, [N].
        joining: Whether pairs are joined at once; else they are noted in `out`.
        most: Number of members of the largest bucket that is compared pair by pair, and of leaders of larger ones.
        out: Pairs, the smaller record first, [K, 2]. Where there are more, the others are only counted.

    Returns:
        The number of pairs, and how many members were left when buckets had used up their leaders.
    """
    count = unread = 0
    for bucket in range(len(starts) - 1):
        member = records[starts[bucket] : starts[bucket + 1]]
        if len(member) <= most[0]:
            count = _all_pairs(member, signatures, least, forest, joining, count, out)
        else:
            count, left = _with_leaders(member, signatures, least, forest, joining, count, out, most[1])
            unread += left
    return count, unread
