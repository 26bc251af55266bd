"""The order of rows: whole epochs, shares, permutations."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.order import RowStream, _shuffled


class Counted:
    """Rows without content."""

    def __init__(self, count: int) -> None:
        self.count = count

    def size(self, index: int) -> int:
        return index * 37 % 101


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=4), st.integers(0, 5), st.sampled_from([0, 4]))
def test_every_epoch_has_every_row_once_whatever_the_start(counts: list[int], seed: int, group: int) -> None:
    sources: Any = [Counted(c) for c in counts]
    stream = RowStream(sources, shares=[0] * len(counts), seed=seed, group=group)
    size = stream.epoch_rows
    both = stream.rows(0, 2 * size)
    wanted = sorted((s, r) for s, c in enumerate(counts) for r in range(c))
    assert sorted(both[:size]) == sorted(both[size:]) == wanted
    if size > 50 and not group:
        assert both[:size] != both[size:], "another epoch, another order"
    start = (size * 2) // 3
    other = RowStream(sources, shares=[0] * len(counts), seed=seed, group=group)
    assert other.rows(start, size // 2 + 1) == both[start : start + size // 2 + 1]


def test_shares_mix_evenly() -> None:
    sources: Any = [Counted(100), Counted(300)]
    stream = RowStream(sources, shares=[3, 1], seed=0)
    rows = stream.rows(0, 400)
    assert [sum(s == i for s, _ in rows) for i in (0, 1)] == [300, 100]
    assert all(2 <= sum(s == 0 for s, _ in rows[i : i + 4]) <= 4 for i in range(0, 400, 4))
    assert sorted(r for s, r in rows if s == 0) == sorted(list(range(100)) * 3)


@given(st.integers(1, 5000), st.integers(0, 9))
def test_the_shuffle_is_a_permutation(count: int, seed: int) -> None:
    assert sorted(_shuffled(np.arange(count), count, seed).tolist()) == list(range(count))
