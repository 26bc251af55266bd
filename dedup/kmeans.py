"""K-means centroids for embeddings, fitted on one thread so that every machine gets the same ones."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

__all__ = ["fit_centroids", "nearest_centroid", "one_thread"]


def one_thread() -> AbstractContextManager[object]:
    """A context in which linear algebra uses one thread.

    Sums in another order have other last bits, and so give other clusters.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn, loads with it

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def fit_centroids(sample: npt.NDArray[np.float32], clusters: int, seed: int) -> npt.NDArray[np.float32]:
    """Unit centroids of unit vectors by mini-batch k-means (Sculley 2010).

    Args:
        sample: Unit vectors, [N, D].
        clusters: Number of clusters; at most N are made.
        seed: Seed of the first centroids.

    Returns:
        Centroids, [clusters, D].
    """
    clusters = max(1, min(clusters, len(sample)))
    if clusters == 1:
        centroids = sample.mean(axis=0, keepdims=True)
    else:
        cluster = importlib.import_module("sklearn.cluster")  # loads in a second
        model = cluster.MiniBatchKMeans(clusters, batch_size=4096, n_init=1, max_iter=20, random_state=seed)
        with one_thread():
            centroids = model.fit(sample).cluster_centers_
    norms = np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.asarray(centroids / np.maximum(norms, 1e-12), np.float32)


def nearest_centroid(
    vectors: npt.NDArray[np.float32], centroids: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The nearest centroid of each unit vector.

    Args:
        vectors: Unit vectors, [N, D].
        centroids: Unit centroids, [K, D].

    Returns:
        Positions of the centroids [N], and the vectors' cosines to them [N].
    """
    index = np.empty(len(vectors), np.int64)
    cosine = np.empty(len(vectors), np.float32)
    step = max(1, (32 << 20) // (4 * max(len(centroids), 1)))
    with one_thread():
        for begin in range(0, len(vectors), step):
            scores = vectors[begin : begin + step] @ centroids.T
            index[begin : begin + step] = scores.argmax(axis=1)
            cosine[begin : begin + step] = scores.max(axis=1)
    return index, cosine
