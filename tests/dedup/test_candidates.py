"""What is connected by buckets of candidates, against every pair compared one by one and the components of SciPy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dedup import candidates
from dedup.candidates import connected
from dedup.signatures import LowBytes, estimated_jaccard, least_agreement

THRESHOLD = 0.6


def expected(buckets: list[list[int]], low: LowBytes, refused: set[tuple[int, int]]) -> list[int]:
    pairs = [(a, b) for members in buckets for a, b in combinations(members, 2)]
    left, right = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    near = estimated_jaccard(low, left, right) >= THRESHOLD
    edges = [p for p, similar in zip(pairs, near, strict=True) if similar and tuple(sorted(p)) not in refused]
    ends = (np.array([a for a, _ in edges], np.int64), np.array([b for _, b in edges], np.int64))
    graph = coo_array((np.ones(len(edges)), ends), shape=(len(low), len(low)))
    labels = connected_components(graph, directed=False)[1].tolist()
    return [labels.index(label) for label in labels]


@given(
    st.integers(0, 99),
    st.lists(st.lists(st.integers(0, 39), min_size=2, max_size=12, unique=True), max_size=12),
    st.sets(st.tuples(st.integers(0, 39), st.integers(0, 39))),
)
def test_small_buckets_connect_what_all_pairs_connect(
    seed: int, buckets: list[list[int]], refused: set[tuple[int, int]]
) -> None:
    low = np.random.default_rng(seed).integers(0, 2, (40, 16)).astype(np.uint8)
    index = np.array([m for members in buckets for m in members], np.int64)
    bucket = np.repeat(np.arange(len(buckets)), [len(members) for members in buckets]).astype(np.int64)
    least = least_agreement(THRESHOLD, 16)
    root, unread = connected(bucket, index, low, least)
    assert root.tolist() == expected(buckets, low, set())
    assert unread == 0
    looked_up: list[tuple[int, int]] = []

    def similar(left: candidates.Rows, right: candidates.Rows) -> np.ndarray:
        pairs = [(min(p), max(p)) for p in zip(left.tolist(), right.tolist(), strict=True)]
        looked_up.extend(pairs)
        return np.array([p not in refused for p in pairs], np.bool_)

    root, _ = connected(bucket, index, low, least, similar)
    assert root.tolist() == expected(buckets, low, refused)
    assert len(looked_up) == len(set(looked_up)), "within a batch no pair is looked up twice"


@pytest.mark.parametrize("members_at_once", [1, 3, 50, 1 << 16])
def test_batches_of_any_size_connect_the_same(members_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    low = random.integers(0, 2, (300, 16)).astype(np.uint8)
    bucket = np.sort(random.integers(0, 60, 900))
    index = np.concatenate([random.permutation(300)[:n] for n in np.bincount(bucket, minlength=60)])
    least = least_agreement(THRESHOLD, 16)
    whole, unread = connected(bucket, index, low, least)
    monkeypatch.setattr(candidates, "_MEMBERS_AT_ONCE", members_at_once)
    root, left = connected(bucket, index, low, least, lambda one, other: np.ones(len(one), np.bool_))
    assert root.tolist() == whole.tolist()
    assert left == unread


def test_a_large_bucket_is_compared_with_its_leaders_and_the_others_are_counted() -> None:
    low = np.zeros((200, 16), np.uint8)
    low[:100] = np.arange(100)[:, None]  # a hundred that are alike to none
    low[150:] = 255  # fifty that are alike
    everyone = np.arange(200)
    root, unread = connected(np.zeros(200, np.int64), everyone, low, 16)
    assert unread == 36 + 50, "the first leader is like those of zeros, 63 are like nobody"
    assert set(root[100:150].tolist()) == {0}
    root, unread = connected(np.zeros(200, np.int64), everyone[::-1].copy(), low, 16)
    assert set(root[150:].tolist()) == {150}
    assert root[0] == root[100] == 0
    assert unread == 100 - 1 - 62
