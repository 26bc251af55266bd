"""t-SNE maps (van der Maaten and Hinton 2008) of embeddings: PCA first, then Barnes-Hut or interpolation."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import numpy.typing as npt

from raylib import machine
from raylib.extras import optional

__all__ = ["project"]


def project(
    vectors: npt.NDArray[np.floating],
    *,
    perplexity: float = 35.0,
    components: int = 50,
    seed: int = 0,
    threads: int | None = None,
) -> npt.NDArray[np.float32]:
    """Place vectors on a map, centred and scaled to a spread of about 1.

    Uses openTSNE (interpolation, linear in N) if it is installed, otherwise scikit-learn (Barnes-Hut).

    Args:
        vectors: N vectors `[N, D]`.
        perplexity: Effective number of neighbours; at most (N - 1) / 3.
        components: Number of dimensions that PCA reduces the vectors to first.
        seed: Seed of PCA and of the start. The same vectors, seed and number of threads give the same map.
        threads: Number of threads; by default all cores.

    Returns:
        Places `[N, 2]`.
    """
    n = len(vectors)
    if n < 5:
        return np.zeros((n, 2), np.float32)
    threads = threads or machine.cpus()
    perplexity = min(perplexity, (n - 1) / 3)
    reduced = vectors.astype(np.float32)
    if min(reduced.shape) > components:
        reduced = (
            importlib.import_module("sklearn.decomposition")
            .PCA(components, random_state=seed, svd_solver="randomized")
            .fit_transform(reduced)
        )
    embed = _interpolated if importlib.util.find_spec("openTSNE") is not None else _barnes_hut
    places = embed(reduced.astype(np.float64), perplexity, seed, threads)
    places -= places.mean(axis=0)
    return np.asarray(places / max(places.std(), 1e-12), np.float32)


def _interpolated(
    vectors: npt.NDArray[np.float64], perplexity: float, seed: int, threads: int
) -> npt.NDArray[np.float64]:
    """t-SNE by openTSNE."""
    module = optional("openTSNE", purpose="a t-SNE map")
    n = len(vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places = module.TSNE(
            perplexity=perplexity,
            initialization="pca",
            metric="euclidean",
            n_jobs=threads,
            random_state=seed,
            neighbors="auto" if n > 1000 else "exact",
            negative_gradient_method="fft" if n > 2000 else "bh",
        ).fit(vectors)
    return np.asarray(places, np.float64)


def _barnes_hut(
    vectors: npt.NDArray[np.float64], perplexity: float, seed: int, threads: int
) -> npt.NDArray[np.float64]:
    """t-SNE by scikit-learn."""
    made = importlib.import_module("sklearn.manifold").TSNE(
        perplexity=perplexity, init="pca", random_state=seed, n_jobs=threads
    )
    return np.asarray(made.fit_transform(vectors), np.float64)
