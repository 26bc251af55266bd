"""The general recipe on records of our own, and every rule's precision: a rule that gets worse fails here."""

from __future__ import annotations

import pytest

from raylib.recipe import Recipe, source_chain
from raylib.recipe.chains import RECIPES
from tests.quality_of_text.judge import Verdict, judge
from tests.quality_of_text.records import RECORDS

LEAST_REWRITING = 0.9  # of the decisions that are good or harmful


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return judge(RECORDS, Recipe.from_file(RECIPES / "pretrain_zh.yaml").stages)


def test_good_text_comes_out_whole(verdict: Verdict) -> None:
    good = sum(record.keep for record in RECORDS)
    assert verdict.damaged == {}
    assert len(verdict.rejected) <= good // 50, verdict.rejected
    assert len(verdict.perfect) >= 0.95 * good, (verdict.left, verdict.rejected)


def test_bad_text_is_caught(verdict: Verdict) -> None:
    assert len(verdict.missed) <= 0.1 * sum(not record.keep for record in RECORDS), verdict.missed


def test_no_rule_does_more_harm_than_it_may(verdict: Verdict) -> None:
    bad = {rule: p for rule in verdict.harmful if (p := verdict.precision(rule)) is not None and p < LEAST_REWRITING}
    assert bad == {}, verdict.harmful


def test_the_judge_sees_harm() -> None:
    """The chain of the reference damages and rejects good text, as it was measured to do."""
    verdict = judge(RECORDS, source_chain("reference/web"))
    assert len(verdict.damaged) + len(verdict.rejected) > 20
    assert verdict.harmful
