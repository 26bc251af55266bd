"""K-means centroids for embeddings, fitted on one thread so that every machine gets the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Matrix", "fit_centroids", "nearest_centroid", "one_thread"]


Matrix = np.ndarray[Any, Any]


def one_thread() -> Any:
    """Linear algebra on one thread: sums in another order would give other bits, and so other clusters."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def fit_centroids(sample: Matrix, clusters: int, seed: int) -> Matrix:
    """Unit centroids (clusters, d) by mini-batch k-means (Sculley 2010) of unit vectors."""
    from sklearn.cluster import MiniBatchKMeans

    clusters = max(1, min(clusters, len(sample)))
    if clusters == 1:
        centroids = sample.mean(axis=0, keepdims=True)
    else:
        model = MiniBatchKMeans(clusters, batch_size=4096, n_init=1, max_iter=20, random_state=seed)
        with one_thread():
            centroids = model.fit(sample).cluster_centers_
    norms = np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.asarray(centroids / np.maximum(norms, 1e-12), np.float32)


def nearest_centroid(vectors: Matrix, centroids: Matrix) -> tuple[Matrix, Matrix]:
    """Index of, and cosine to, the nearest centroid of each unit vector."""
    index = np.empty(len(vectors), np.int64)
    cosine = np.empty(len(vectors), np.float32)
    step = max(1, (32 << 20) // (4 * max(len(centroids), 1)))
    with one_thread():
        for begin in range(0, len(vectors), step):
            scores = vectors[begin : begin + step] @ centroids.T
            index[begin : begin + step] = scores.argmax(axis=1)
            cosine[begin : begin + step] = scores.max(axis=1)
    return index, cosine
