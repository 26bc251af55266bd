"""Diversity selection against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.embeddings import diversity
from quality.embeddings.diversity import greedy_by_quality, k_center, quota_by_cluster
from quality.embeddings.metrics import nearest_neighbour_distances
from tests.quality.rows import clustered


def plain_greedy(vectors: np.ndarray, order: np.ndarray, k: int, limit: float) -> list[int]:
    kept: list[int] = []
    for i in order.tolist():
        if len(kept) == k:
            break
        if not kept or (vectors[kept] @ vectors[i]).max() < limit:
            kept.append(i)
    return kept


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(1, 120), st.floats(0.2, 0.99), st.integers(0, 5))
def test_greedy_equals_brute_force(n: int, k: int, limit: float, seed: int) -> None:
    vectors = clustered(n, seed=seed)
    order = np.random.default_rng(seed).permutation(n)
    block, diversity._BLOCK = diversity._BLOCK, 37
    chunk, diversity.CHUNK = diversity.CHUNK, 23
    try:
        chosen = greedy_by_quality(vectors, order, k, limit)
    finally:
        diversity._BLOCK, diversity.CHUNK = block, chunk
    plain = plain_greedy(vectors, order, k, limit)
    assert chosen.rows[: len(plain)].tolist() == plain
    assert len(chosen.rows) == min(k, n) == len(set(chosen.rows.tolist())), "filled up to k"
    for i in np.flatnonzero(chosen.near >= 0).tolist():
        assert chosen.near[i] in chosen.rows
        assert vectors[i] @ vectors[chosen.near[i]] == pytest.approx(chosen.cosine[i], abs=1e-5)
        assert chosen.cosine[i] >= limit - 1e-6


def test_k_center_in_one_cell_is_gonzalez() -> None:
    vectors = clustered(400)
    chosen = k_center(vectors, 40)
    first = int(np.argmax(vectors @ vectors.mean(axis=0)))
    plain, distance = [first], 1 - vectors @ vectors[first]
    while len(plain) < 40:
        plain.append(int(np.argmax(np.where(np.isin(np.arange(400), plain), -1, distance))))
        distance = np.minimum(distance, 1 - vectors @ vectors[plain[-1]])
    assert chosen.tolist() == plain


def test_k_center_in_cells_covers_better_than_chance() -> None:
    vectors = clustered(9000, 24, 60)
    chosen = k_center(vectors, 900)
    assert len(set(chosen.tolist())) == 900
    assert k_center(vectors, 900).tolist() == chosen.tolist(), "deterministic"
    random = np.random.default_rng(1).choice(9000, 900, replace=False)

    def radius(rows: np.ndarray) -> float:
        return float((1 - (vectors @ vectors[rows].T).max(axis=1)).max())

    assert radius(chosen) < radius(random)
    assert (
        nearest_neighbour_distances(vectors[chosen]).mean() > 1.2 * nearest_neighbour_distances(vectors[random]).mean()
    )
    assert sorted(k_center(vectors[:50], 50).tolist()) == list(range(50))


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(1, 250), st.integers(1, 9), st.sampled_from([1.0, 3.0]))
def test_quota(n: int, k: int, groups: int, pool: float) -> None:
    vectors = clustered(n)
    rng = np.random.default_rng(n)
    labels, order = rng.integers(groups, size=n), rng.permutation(n)
    rows = quota_by_cluster(vectors, labels, order, k, pool=pool)
    assert len(rows) == min(k, n) == len(set(rows.tolist()))
    taken, sizes = np.bincount(labels[rows], minlength=groups), np.bincount(labels, minlength=groups)
    short = taken < sizes  # clusters that could have given more give as much as any other, but for one
    if short.any():
        assert taken.max() - taken[short].min() <= 1
    if pool == 1.0:
        place = np.argsort(order)
        for c in range(groups):
            mine = np.flatnonzero(labels == c)
            assert set(rows[labels[rows] == c]) == set(mine[np.argsort(place[mine])][: taken[c]])
