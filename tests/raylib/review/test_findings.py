"""What answers say about rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from raylib.review.drawing import draw
from raylib.review.findings import find
from raylib.review.population import Population
from raylib.review.rules import FinishedRun
from tests.raylib.review.labelled import Labelled, answered, labelled_run


def test_the_estimates_hold_the_truth(finished: FinishedRun, digits: Population, records: Sequence[Labelled]) -> None:
    rules = finished.rules(["digit_ratio"])
    decisions = answered(draw(finished, rules, {"digit_ratio": digits}, 200), records)
    figures = find(finished, rules, {"digit_ratio": digits}, decisions)[0].figures
    out = [r for r in records if r.value > 0.3]
    precision = sum(r.bad for r in out) / len(out)
    recall = sum(r.bad for r in out) / sum(r.bad for r in records)
    lost = sum(len(r.text) for r in out if not r.bad)
    for estimate, truth in ((figures.precision, precision), (figures.recall, recall), (figures.lost_characters, lost)):
        assert estimate is not None
        assert estimate.low <= truth <= estimate.high
    assert (figures.decisions, figures.answered, figures.unsure, figures.threshold) == (200, 200, 0, 0.3)


def test_decisions_without_answers_are_named(
    finished: FinishedRun, digits: Population, records: Sequence[Labelled]
) -> None:
    rules = finished.rules(["digit_ratio"])
    decisions = answered(draw(finished, rules, {"digit_ratio": digits}, 60), records)
    decisions[3] = decisions[3].answered("")
    decisions[4] = decisions[4].answered("unsure")
    found = find(finished, rules, {"digit_ratio": digits}, decisions)[0]
    assert found.unanswered == [decisions[3].id]
    assert (found.figures.answered, found.figures.unsure) == (59, 1)


def test_edits_that_harm_lose_characters(tmp_path: Path) -> None:
    rows = [Labelled(f"d{i}", "网页", f"第{i}句话，<b>要紧的话</b>。没有别的。", bad=False, value=0) for i in range(80)]
    run = FinishedRun.open(str(labelled_run(tmp_path, rows, ["strip_markup"])))
    rules = run.rules()
    decisions = draw(run, rules, {}, 60)
    assert {d.decision for d in decisions} == {"edited"}
    given = [d.answered(("good", "harmful", "neutral")[i % 3]) for i, d in enumerate(decisions)]
    figures = find(run, rules, {}, given)[0].figures
    assert figures.precision is not None
    assert figures.precision.estimate == pytest.approx(0.5, abs=0.1)
    assert figures.recall is None
    assert figures.lost_characters is not None
    tags = 80 * len("<b></b>")
    assert figures.lost_characters.estimate == pytest.approx(tags / 3, rel=0.25)
