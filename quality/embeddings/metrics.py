"""Diversity metrics of a set of embeddings."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from dedup.kmeans import one_thread
from quality.embeddings.diversity import CHUNK, in_parallel, unit_rows_of

__all__ = ["SetMetrics", "cluster_entropy", "metrics_of", "nearest_neighbour_distances", "vendi_score"]


class SetMetrics(TypedDict):
    """Diversity of a set in numbers."""

    records: int
    nearest_neighbour_distance: float  # mean of 1 - cosine
    cluster_entropy: float  # 0 to 1
    vendi_score: float  # effective number of different records


def nearest_neighbour_distances(
    vectors: npt.NDArray[np.floating], *, queries: int = 5000, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Measure the distance (1 - cosine) from vectors to their nearest other vector, exactly.

    Args:
        vectors: N vectors `[N, D]`.
        queries: Number of vectors to draw at random, if there are more.
        seed: Seed of the draw.

    Returns:
        Distances of the drawn vectors, `[min(N, queries)]`; empty if N < 2.
    """
    n = len(vectors)
    if n < 2:
        return np.zeros(0, np.float32)
    rng = np.random.default_rng(seed)
    asked = np.arange(n) if n <= queries else np.sort(rng.choice(n, queries, replace=False))
    wanted = unit_rows_of(vectors[asked])

    def best(begin: int) -> npt.NDArray[np.float32]:
        chunk = unit_rows_of(vectors[begin : begin + CHUNK])
        scores = wanted @ chunk.T
        inside = np.flatnonzero((asked >= begin) & (asked < begin + len(chunk)))
        scores[inside, asked[inside] - begin] = -2.0
        return np.asarray(scores.max(axis=1))

    closest = np.max(in_parallel(best, range(0, n, CHUNK)), axis=0)
    return np.asarray(1.0 - np.minimum(closest, 1.0), np.float32)


def cluster_entropy(labels: npt.NDArray[np.integer], clusters: int) -> float:
    """Entropy of cluster sizes over its maximum, log `clusters`: 1 for clusters of equal size, 0 for a single one."""
    counts = np.bincount(labels, minlength=clusters).astype(np.float64)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum() / np.log(max(clusters, 2)))


def vendi_score(vectors: npt.NDArray[np.floating]) -> float:
    """Effective number of different vectors `[N, D]`: exp of the entropy of the eigenvalues of the cosine kernel / N.

    Computed from the `[D, D]` matrix, which has the same eigenvalues: it takes N D^2 steps and the score is at most D.
    Source: Friedman and Dieng, "The Vendi Score", TMLR 2023.
    """
    n, d = vectors.shape
    if n == 0:
        return 0.0

    def part(begin: int) -> npt.NDArray[np.float64]:
        chunk = unit_rows_of(vectors[begin : begin + CHUNK]).astype(np.float64)
        return np.asarray(chunk.T @ chunk)

    total = np.zeros((d, d))
    for product in in_parallel(part, range(0, n, CHUNK)):
        total += product
    with one_thread():
        values = np.linalg.eigvalsh(total / n)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def metrics_of(
    vectors: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], clusters: int, *, seed: int = 0
) -> SetMetrics:
    """Measure the diversity of a set.

    Args:
        vectors: N vectors `[N, D]`.
        labels: Cluster of each vector, `[N]`, in a clustering that is the same for all sets that are compared.
        clusters: Number of clusters of that clustering.
        seed: Seed of the draw of nearest neighbours.

    Returns:
        Mean nearest-neighbour distance, cluster entropy and Vendi score.
    """
    distances = nearest_neighbour_distances(vectors, seed=seed)
    return {
        "records": len(vectors),
        "nearest_neighbour_distance": round(float(distances.mean()), 5) if len(distances) else 0.0,
        "cluster_entropy": round(cluster_entropy(labels, clusters), 5),
        "vendi_score": round(vendi_score(vectors), 3),
    }
