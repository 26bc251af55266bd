"""Proposals after 100 decisions, on records whose labels are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from raylib.review.drawing import draw
from raylib.review.findings import RuleFindings, find
from raylib.review.population import populations
from raylib.review.rules import FinishedRun
from tests.raylib.review.labelled import Labelled, answered, best_f1, f1_at, labelled_run, number_pages

ONE = {"网页": 0.3}
TWO = {"论坛": 0.15, "新闻": 0.4}


def reviewed(folder: Path, records: Sequence[Labelled], current: float, sample: int = 100) -> RuleFindings:
    out = labelled_run(folder, records, [{"digit_ratio": {"max": current}}])
    run = FinishedRun.open(str(out))
    rules = run.rules(["digit_ratio"])
    found = populations(run, rules)
    decisions = answered(draw(run, rules, found, sample), records)
    assert len(decisions) == sample
    return find(run, rules, found, decisions)[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("sources", "current"), [(ONE, 0.3), (TWO, 0.15), (TWO, 0.4)])
def test_a_proposal_lies_within_two_points_of_the_best(
    tmp_path: Path, sources: Mapping[str, float], current: float, seed: int
) -> None:
    records = number_pages(2000, seed, sources)
    proposed = reviewed(tmp_path, records, current).figures.proposed
    assert proposed is not None
    assert f1_at(records, proposed.threshold) >= best_f1(records) - 0.02
    assert proposed.low <= proposed.threshold <= proposed.high
    assert proposed.f1 == pytest.approx(f1_at(records, proposed.threshold), abs=0.15)
    assert proposed.f1_of_current == pytest.approx(f1_at(records, current), abs=0.15)


@pytest.mark.parametrize("current", [0.2, 0.4])
def test_a_threshold_that_is_far_off_comes_near_the_best(tmp_path: Path, current: float) -> None:
    records = number_pages(2000, 1, ONE)
    proposed = reviewed(tmp_path, records, current).figures.proposed
    assert proposed is not None
    assert f1_at(records, proposed.threshold) >= best_f1(records) - 0.05
    assert f1_at(records, proposed.threshold) > f1_at(records, current) + 0.05


def test_sources_that_differ_get_thresholds_of_their_own(tmp_path: Path) -> None:
    records = number_pages(2000, 4, TWO)
    findings = reviewed(tmp_path, records, 0.25)
    own = {name: figures.proposed for name, figures in findings.sources.items()}
    forum, news = own["论坛"], own["新闻"]
    assert forum is not None
    assert news is not None
    assert forum.threshold < 0.25 < news.threshold
    assert f1_at(records, {"论坛": forum.threshold, "新闻": news.threshold}) > best_f1(records)


def test_the_curve_rises_to_its_best_point_and_falls(tmp_path: Path) -> None:
    curve = reviewed(tmp_path, number_pages(1500, 5, ONE), 0.3).curve
    assert len(curve) > 30
    recalls = [point.recall for point in curve]
    assert recalls == sorted(recalls)
    thresholds = [point.threshold for point in curve]
    assert thresholds == sorted(thresholds, reverse=True), "the loosest first"
    best = max(point.f1 for point in curve)
    assert curve[0].f1 < best - 0.2
    assert curve[-1].f1 < best - 0.2


def test_nothing_is_proposed_where_no_text_is_bad(tmp_path: Path) -> None:
    records = number_pages(300, 6, {"网页": 5.0}, noise=0.0)
    findings = reviewed(tmp_path, records, 0.3, sample=60)
    assert findings.figures.proposed is None
    assert findings.no_proposal == "at least 5 good and 5 bad texts have to be found"
    assert findings.curve == []
    assert findings.figures.precision is not None
    assert findings.figures.precision.estimate == 0.0
