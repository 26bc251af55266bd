"""Estimates and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from raylib.review.estimates import amount, ratio_of_parts, share


def test_a_share_of_equal_decisions_has_jeffreys_interval() -> None:
    found = share(np.arange(20) < 15, np.ones(20))
    assert found is not None
    assert (found.estimate, found.answers) == (0.75, 20)
    assert (found.low, found.high) == pytest.approx((0.537, 0.897), abs=0.002)


def test_a_share_at_its_end_keeps_an_interval() -> None:
    found = share(np.ones(10, np.bool_), np.ones(10))
    assert found is not None
    assert found.high == 1.0
    assert 0.7 < found.low < 0.85


def test_unequal_weights_widen_the_interval() -> None:
    hits = np.arange(20) % 2 == 0
    even, uneven = share(hits, np.ones(20)), share(hits, np.where(np.arange(20) < 2, 50.0, 1.0))
    assert even is not None
    assert uneven is not None
    assert uneven.high - uneven.low > 1.5 * (even.high - even.low)


def test_recall_weighs_both_sides_by_their_sizes() -> None:
    rejects = (np.array([True] * 8 + [False] * 2), np.ones(10))
    keeps = (np.array([True] + [False] * 19), np.ones(20))
    found = ratio_of_parts(rejects, keeps, (100, 1000))
    assert found is not None
    assert found.estimate == pytest.approx(80 / (80 + 50))
    assert found.low < found.estimate < found.high


def test_no_answers_have_no_estimate() -> None:
    none = (np.zeros(0, np.bool_), np.zeros(0))
    assert share(*none) is None
    assert amount(*none, np.zeros(0), 10.0) is None
    assert ratio_of_parts(none, none, (10, 10)) is None


def test_an_amount_counts_sizes() -> None:
    found = amount(np.array([True, False, True, False]), np.ones(4), np.array([10.0, 20.0, 30.0, 40.0]), 1000.0)
    assert found is not None
    assert found.estimate == pytest.approx(400.0)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        found = share(random.random(40) < 0.2, np.ones(40))
        assert found is not None
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / 400 <= 0.985
