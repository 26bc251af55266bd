"""Wilson intervals accept what the score test accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.scores.intervals import wilson


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilson(hits: int, total: int) -> None:
    hits = min(hits, total)
    low, high = wilson(hits, total)
    assert 0 <= low <= hits / total <= high <= 1
    # the ends are where the score test just accepts: |share - p| = z sqrt(p (1 - p) / n)
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(hits / total - end) == pytest.approx(1.959964 * (end * (1 - end) / total) ** 0.5, abs=1e-6)
