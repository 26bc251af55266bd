"""Diversity metrics against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from quality.embeddings.metrics import cluster_entropy, nearest_neighbour_distances, vendi_score
from tests.quality.rows import clustered


def test_metrics() -> None:
    vectors = clustered(300)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    assert np.allclose(nearest_neighbour_distances(vectors), 1 - scores.max(axis=1), atol=1e-5)
    values = np.linalg.eigvalsh((vectors @ vectors.T).astype(float) / 300)
    values = values[values > 1e-12]
    assert vendi_score(vectors) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-4)
    assert vendi_score(np.eye(7, dtype=np.float32)) == pytest.approx(7)
    assert vendi_score(np.ones((5, 3), np.float32)) == pytest.approx(1)
    assert cluster_entropy(np.repeat(np.arange(4), 10), 4) == pytest.approx(1)
    assert cluster_entropy(np.zeros(9, int), 4) == 0
