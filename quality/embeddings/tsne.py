"""t-SNE maps (van der Maaten and Hinton 2008) of embeddings: PCA first, then Barnes-Hut or interpolation."""

from __future__ import annotations

import importlib.util
import os
import warnings
from typing import Any

import numpy as np

__all__ = ["project"]


Matrix = np.ndarray[Any, Any]


def project(
    vectors: Matrix, *, perplexity: float = 35.0, components: int = 50, seed: int = 0, threads: int | None = None
) -> Matrix:
    """Places of vectors on a map, float32 of shape (n, 2), centred and scaled to a spread of about 1.

    Args:
        vectors: (n, d); reduced to `components` by PCA first.
        perplexity: effective number of neighbours; at most (n - 1) / 3.
        seed: of PCA and of the start. The same vectors, seed and number of threads give the same map.
        threads: default: all cores.

    Uses openTSNE (interpolation, linear in n) where it is installed, scikit-learn (Barnes-Hut) otherwise.
    """
    from sklearn.decomposition import PCA

    n = len(vectors)
    if n < 5:
        return np.zeros((n, 2), np.float32)
    threads = threads or os.cpu_count() or 1
    perplexity = min(perplexity, (n - 1) / 3)
    reduced = vectors.astype(np.float32)
    if min(reduced.shape) > components:
        reduced = PCA(components, random_state=seed, svd_solver="randomized").fit_transform(reduced)
    reduced = reduced.astype(np.float64)
    if importlib.util.find_spec("openTSNE") is not None:
        import openTSNE

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            places = openTSNE.TSNE(
                perplexity=perplexity,
                initialization="pca",
                metric="euclidean",
                n_jobs=threads,
                random_state=seed,
                neighbors="auto" if n > 1000 else "exact",
                negative_gradient_method="fft" if n > 2000 else "bh",
            ).fit(reduced)
    else:
        from sklearn.manifold import TSNE

        places = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=threads).fit_transform(reduced)
    places = np.asarray(places, np.float64)
    places -= places.mean(axis=0)
    return np.asarray(places / max(places.std(), 1e-12), np.float32)
