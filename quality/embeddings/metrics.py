"""Diversity metrics of a set of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from dedup.kmeans import one_thread
from quality.embeddings.diversity import CHUNK, Matrix, in_parallel, unit_rows_of

__all__ = ["cluster_entropy", "metrics_of", "nearest_neighbour_distances", "vendi_score"]


def nearest_neighbour_distances(vectors: Matrix, *, queries: int = 5000, seed: int = 0) -> Matrix:
    """1 - cosine to the nearest other vector, for up to `queries` vectors drawn at random; exact. Float32."""
    n = len(vectors)
    if n < 2:
        return np.zeros(0, np.float32)
    rng = np.random.default_rng(seed)
    asked = np.arange(n) if n <= queries else np.sort(rng.choice(n, queries, replace=False))
    wanted = unit_rows_of(vectors[asked])

    def best(begin: int) -> Matrix:
        chunk = unit_rows_of(vectors[begin : begin + CHUNK])
        scores = wanted @ chunk.T
        inside = np.flatnonzero((asked >= begin) & (asked < begin + len(chunk)))
        scores[inside, asked[inside] - begin] = -2.0
        return np.asarray(scores.max(axis=1))

    closest = np.max(in_parallel(best, range(0, n, CHUNK)), axis=0)
    return np.asarray(1.0 - np.minimum(closest, 1.0), np.float32)


def cluster_entropy(labels: Matrix, clusters: int) -> float:
    """Entropy of cluster sizes over its maximum, log `clusters`: 1 for clusters of equal size, 0 for a single one."""
    counts = np.bincount(labels, minlength=clusters).astype(np.float64)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum() / np.log(max(clusters, 2)))


def vendi_score(vectors: Matrix) -> float:
    """Effective number of different records: exp of the entropy of the eigenvalues of the cosine kernel / n.

    From the (d, d) matrix, which has the same eigenvalues, so it takes n d^2 steps and is at most d.
    Source: Friedman and Dieng, "The Vendi Score", TMLR 2023.
    """
    n, d = vectors.shape
    if n == 0:
        return 0.0

    def part(begin: int) -> Matrix:
        chunk = unit_rows_of(vectors[begin : begin + CHUNK]).astype(np.float64)
        return np.asarray(chunk.T @ chunk)

    total = np.zeros((d, d))
    for product in in_parallel(part, range(0, n, CHUNK)):
        total += product
    with one_thread():
        values = np.linalg.eigvalsh(total / n)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def metrics_of(vectors: Matrix, labels: Matrix, clusters: int, *, seed: int = 0) -> dict[str, Any]:
    """Diversity of a set in numbers: mean nearest-neighbour distance, cluster entropy, Vendi score.

    labels: cluster of each vector in a clustering of `clusters` that is the same for all sets that are compared.
    """
    distances = nearest_neighbour_distances(vectors, seed=seed)
    return {
        "records": len(vectors),
        "nearest_neighbour_distance": round(float(distances.mean()), 5) if len(distances) else 0.0,
        "cluster_entropy": round(cluster_entropy(labels, clusters), 5),
        "vendi_score": round(vendi_score(vectors), 3),
    }
