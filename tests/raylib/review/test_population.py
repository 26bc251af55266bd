"""The records that a rule decided about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from raylib.review import population as module
from raylib.review.population import Population, populations
from raylib.review.rules import FinishedRun
from tests.raylib.review.labelled import Labelled, labelled_run


def test_every_record_is_there_with_its_value_and_side(digits: Population, records: Sequence[Labelled]) -> None:
    value = {r.id: r.value for r in records}
    assert sorted(digits.ids) == sorted(value)
    assert set(digits.weights.tolist()) == {1.0}
    assert digits.rejected.tolist() == [value[i] > 0.3 for i in digits.ids]
    finite = np.isfinite(digits.values)
    expected = np.array([value[i] for i in digits.ids])
    assert digits.values[finite] == pytest.approx(expected[finite], abs=0.01)
    assert (expected[~finite] < 0.001).all()


def test_rejects_carry_their_evidence(digits: Population) -> None:
    assert all(("> 0.3" in detail) == out for detail, out in zip(digits.details, digits.rejected, strict=True))


def test_a_part_stands_for_all(
    monkeypatch: pytest.MonkeyPatch, finished: FinishedRun, digits: Population, records: Sequence[Labelled]
) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 200)
    monkeypatch.setattr(module, "_MOST_REJECTED", 60)
    part = populations(finished, finished.rules(["digit_ratio"]))["digit_ratio"]
    assert len(part.ids) < len(records) / 3
    assert part.weights.sum() == pytest.approx(len(records))
    for source in ("论坛", "新闻"):
        everything = ((digits.sources == source) & ~digits.rejected).sum()
        assert part.weights[(part.sources == source) & ~part.rejected].sum() == pytest.approx(everything)


def test_a_reject_is_seen_as_the_rule_saw_it(tmp_path: Path) -> None:
    texts = ["<p>" + "2" * 60 + "</p>甲乙", "<b>" + "甲" * 60 + "</b>"]
    rows = [Labelled(f"d{i}", "网页", text, bad=False, value=0) for i, text in enumerate(texts)]
    run = FinishedRun.open(str(labelled_run(tmp_path, rows, ["strip_markup", {"digit_ratio": {"max": 0.3}}])))
    found = populations(run, run.rules(["digit_ratio"]))["digit_ratio"]
    assert dict(zip(found.ids, found.texts, strict=True))["d0"] == "2" * 60 + "\n甲乙"
