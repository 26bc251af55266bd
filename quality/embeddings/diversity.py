"""Choosing a diverse part of many vectors. Arrays only; no tables, no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dedup.kmeans import fit_centroids, nearest_centroid, one_thread
from raylib import machine
from raylib.vectors import unit_rows

__all__ = [
    "CHUNK",
    "Chosen",
    "greedy_by_quality",
    "in_parallel",
    "k_center",
    "quota_by_cluster",
    "unit_rows_of",
]

_BLOCK = 2048
CHUNK = 8192  # rows of one product: memory grows with it, and results do not depend on the number of threads
_CELL = 4096
Item = TypeVar("Item")
Result = TypeVar("Result")
Floats = npt.NDArray[np.floating]  # vectors [N, D] of any precision
Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]  # positions


def _threads() -> int:
    """Number of cores that this process may use."""
    return machine.cpus()


def unit_rows_of(matrix: Floats) -> Singles:
    """Vectors `[N, D]` of any precision in single precision, each divided by its length."""
    return unit_rows(matrix.astype(np.float32))


def in_parallel(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Apply a function to each item, on all cores but with single-threaded linear algebra: always the same bits."""
    with one_thread(), ThreadPoolExecutor(_threads()) as pool:
        return list(pool.map(function, items))


@dataclass(frozen=True)
class Chosen:
    """A choice among N records.

    Attributes:
        rows: Positions that were chosen, in order.
        near: The chosen position that each position is too close to; -1 for those not passed over, `[N]`.
        cosine: The cosine between the two; 0 for those not passed over, `[N]`.
    """

    rows: Rows
    near: Rows
    cosine: Singles


def greedy_by_quality(vectors: Floats, order: Rows, k: int, max_cosine: float = 0.9) -> Chosen:
    """Take the best records first and skip those too close to one that was taken (Deita's selection).

    Space: 4 k D bytes and one block beside the vectors. Source: Liu et al., ICLR 2024, algorithm 1.

    Args:
        vectors: N vectors `[N, D]`; normalised block by block.
        order: Positions from best to worst.
        k: Number of positions to take. If fewer pass, those passed over with the smallest cosine fill up.
        max_cosine: Cosine below which two chosen records stay, those that fill up aside.

    Returns:
        The positions that were taken, and why others were passed over.
    """
    from quality.embeddings import kernels  # noqa: PLC0415 - loads numba

    count = len(order)
    k = min(k, count)
    near, cosine = np.full(len(vectors), -1, np.int64), np.zeros(len(vectors), np.float32)
    kept = np.empty((k, vectors.shape[1]), np.float32)
    rows = np.empty(k, np.int64)
    size = 0
    for begin in range(0, count, _BLOCK):
        if size == k:
            break
        candidates = order[begin : begin + _BLOCK]
        block = unit_rows_of(vectors[candidates])
        best, place = _closest(block, kept[:size])
        with one_thread():
            within = block @ block.T
        taken = kernels.accept(within, best, place, max_cosine, k - size, size)
        kept[size : size + len(taken)] = block[taken]
        rows[size : size + len(taken)] = candidates[taken]
        size += len(taken)
        passed = np.setdiff1d(np.flatnonzero(best >= max_cosine), taken)
        near[candidates[passed]], cosine[candidates[passed]] = place[passed], best[passed]
    known = near >= 0
    near[known] = rows[near[known]]
    if size < k:
        spare = order[near[order] >= 0]
        fill = spare[np.argsort(cosine[spare], kind="stable")][: k - size]
        rows[size : size + len(fill)] = fill
        near[fill], cosine[fill] = -1, 0.0
    return Chosen(rows, near, cosine)


def _closest(block: Singles, kept: Singles) -> tuple[Singles, Rows]:
    """Largest cosine of each vector of a block to those kept, and which one that is; -2 and -1 if none is kept."""

    def compare(first: int) -> tuple[Singles, Rows]:
        scores = block @ kept[first : first + CHUNK].T
        at = scores.argmax(axis=1)
        return scores[np.arange(len(block)), at], at + first

    best, place = np.full(len(block), -2.0, np.float32), np.full(len(block), -1, np.int64)
    for value, at in in_parallel(compare, range(0, len(kept), CHUNK)):
        better = value > best
        best[better], place[better] = value[better], at[better]
    return best, place


def k_center(vectors: Floats, k: int, *, seed: int = 0) -> Rows:
    """Choose positions that cover all vectors: greedy k-center by cosine distance, in cells.

    k-means cuts the vectors into cells of about 2,000 (never more than 4,096). Each is traversed farthest first, and of
    all cells those points are taken that were farthest when their turn came, so that wide cells give more. For one
    cell this is Gonzalez' greedy algorithm; for several its composition from core-sets (Indyk et al. 2014), which
    takes a fraction N / 2,000 of the time. Space: 8 bytes a vector and one cell a thread.

    Args:
        vectors: N vectors `[N, D]`.
        k: Number of positions to choose.
        seed: Seed of the clustering.

    Returns:
        min(k, N) positions, in order of distance.
    """
    from quality.embeddings import kernels  # noqa: PLC0415 - loads numba

    n = len(vectors)
    k = min(k, n)
    cells = _cells(vectors, seed)
    share = min(1.0, 3.0 * k / n)

    def traverse(cell: Rows) -> tuple[Rows, Singles]:
        members = unit_rows_of(vectors[cell])
        center = members.mean(axis=0)
        steps = len(cell) if len(cells) == 1 else max(1, int(np.ceil(share * len(cell))))
        steps = min(steps, k)
        rows, radius = kernels.farthest_first(members, int(np.argmax(members @ center)), steps)
        return cell[rows], radius

    parts = in_parallel(traverse, cells)
    rows = np.concatenate([p[0] for p in parts])
    radius = np.concatenate([p[1] for p in parts])
    chosen = rows[np.lexsort((rows, -radius))[:k]]
    if len(chosen) < k:
        rest = np.setdiff1d(np.arange(n), chosen)
        chosen = np.concatenate([chosen, rest[: k - len(chosen)]])
    return np.asarray(chosen, np.int64)


def _cells(vectors: Floats, seed: int) -> list[Rows]:
    """Positions of the vectors of each cell."""
    n = len(vectors)
    if n <= _CELL:
        return [np.arange(n)]
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(n, min(n, 50_000), replace=False))
    centroids = fit_centroids(unit_rows_of(vectors[sample]), max(2, n // 2000), seed)
    pieces = in_parallel(
        lambda begin: nearest_centroid(unit_rows_of(vectors[begin : begin + CHUNK]), centroids)[0], range(0, n, CHUNK)
    )
    label = np.concatenate(pieces)
    order = np.argsort(label, kind="stable")
    borders = np.flatnonzero(np.diff(label[order], prepend=-1))
    cells = []
    for first, last in zip(borders.tolist(), [*borders[1:].tolist(), n], strict=True):
        members = order[first:last]
        parts = -(-len(members) // _CELL)
        cells += [members[i::parts] for i in range(parts)]
    return cells


def quota_by_cluster(
    vectors: Floats, labels: npt.NDArray[np.integer], order: Rows, k: int, *, pool: float = 1.0, seed: int = 0
) -> Rows:
    """Choose the same number of positions from each cluster, as far as it has them.

    Args:
        vectors: N vectors `[N, D]`.
        labels: Cluster of each position, `[N]`.
        order: Positions from best to worst.
        k: Number of positions to choose.
        pool: A cluster that gives q positions gives those that `k_center` chooses among its best `pool` x q; with 1
            it simply gives its best.
        seed: Seed of `k_center`.

    Returns:
        min(k, N) positions, cluster by cluster and best first in each.
    """
    ranked = labels[order]
    by_cluster = order[np.argsort(ranked, kind="stable")]  # clusters one after the other, best first in each
    sizes = np.bincount(ranked)
    ends = np.cumsum(sizes)
    chosen = []
    for label, quota in enumerate(_even_quotas(sizes, min(k, len(order))).tolist()):
        if quota == 0:
            continue
        members = by_cluster[ends[label] - sizes[label] : ends[label]]
        candidates = members[: max(quota, min(len(members), int(min(pool * quota, 1e15))))]
        if len(candidates) > quota:
            candidates = candidates[np.sort(k_center(vectors[candidates], quota, seed=seed))]
        chosen.append(candidates)
    return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)


def _even_quotas(sizes: npt.NDArray[np.integer], k: int) -> Rows:
    """Number of records that each cluster gives: all the same, small clusters everything they have, `k` in all."""
    quotas = np.zeros(len(sizes), np.int64)
    while quotas.sum() < k:
        open_ = np.flatnonzero(quotas < sizes)
        left = k - int(quotas.sum())
        each = left // len(open_)
        if each == 0:  # one more for the largest
            open_ = open_[np.argsort(-sizes[open_], kind="stable")][:left]
            each = 1
        quotas[open_] = np.minimum(quotas[open_] + each, sizes[open_])
    return quotas
