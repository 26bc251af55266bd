"""Which decisions are drawn, and for how many records each stands."""

from __future__ import annotations

import numpy as np
import pytest

from raylib.review.drawing import draw, drawn_rows
from raylib.review.population import Population
from raylib.review.rules import FinishedRun


def test_as_many_rejects_as_keeps_are_drawn_of_each_source(digits: Population) -> None:
    rows, _ = drawn_rows(digits, 100)
    assert len(set(rows.tolist())) == 100
    for source in ("论坛", "新闻"):
        here = digits.sources[rows] == source
        assert here.sum() == 50
        assert digits.rejected[rows][here].sum() == 25


def test_the_weights_count_all_records(digits: Population) -> None:
    rows, weights = drawn_rows(digits, 100)
    for out in (True, False):
        assert weights[digits.rejected[rows] == out].sum() == pytest.approx(
            digits.weights[digits.rejected == out].sum()
        )


def test_more_are_drawn_near_the_threshold(digits: Population) -> None:
    rows, _ = drawn_rows(digits, 100)
    near = np.abs(digits.values - 0.3) < 0.03
    assert near[rows].mean() > 1.5 * near.mean()


def test_weighted_means_are_right_on_average(digits: Population) -> None:
    """The mean of the values of keeps, estimated from draws of different size, is that of all keeps."""
    kept = ~digits.rejected & np.isfinite(digits.values)
    errors = []
    for quota in range(60, 160, 2):
        rows, weights = drawn_rows(digits, quota)
        here = kept[rows]
        errors.append(np.average(digits.values[rows][here], weights=weights[here]) - digits.values[kept].mean())
    assert abs(np.mean(errors)) < 0.01


def test_a_sample_larger_than_the_run_takes_everything(digits: Population) -> None:
    rows, weights = drawn_rows(digits, 10**6)
    assert len(rows) == len(digits.ids)
    assert set(weights.round(6).tolist()) == {1.0}


def test_the_same_decisions_are_drawn_every_time(finished: FinishedRun, digits: Population) -> None:
    rules = finished.rules(["digit_ratio"])
    first = draw(finished, rules, {"digit_ratio": digits}, 40)
    assert first == draw(finished, rules, {"digit_ratio": digits}, 40)
    assert {d.run for d in first} == {finished.name}
    assert {(d.rule, d.parameter, d.threshold) for d in first} == {("digit_ratio", "max", 0.3)}
    assert all(d.value is None or (d.value > 0.3) == (d.decision == "rejected") for d in first)
    decided = [d.decision for d in first]
    assert decided != sorted(decided), "their order tells what was decided"
