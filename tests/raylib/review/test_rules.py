"""The rules of a run that can be reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raylib.errors import ParameterError, SourceError
from raylib.review.rules import FinishedRun


def test_rules_that_did_something_are_reviewed(finished: FinishedRun) -> None:
    assert [rule.label for rule in finished.rules()] == ["digit_ratio"]


def test_a_rule_that_is_named_is_reviewed_whatever_it_did(finished: FinishedRun) -> None:
    (rule,) = finished.rules(["normalise_characters"])
    assert rule.asks == "edits"


def test_a_threshold_of_a_source_is_its_own(finished: FinishedRun) -> None:
    (rule,) = finished.rules(["digit_ratio"])
    (threshold,) = rule.thresholds()
    assert rule.current(threshold, "论坛") == 0.3


def test_a_name_that_the_run_lacks_is_an_error(finished: FinishedRun) -> None:
    with pytest.raises(ParameterError, match="--rule digit_rat: the run has no such stage; did you mean 'digit_ratio'"):
        finished.rules(["digit_rat"])


def test_another_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not the folder of a finished run: it has no recipe\.yaml"):
        FinishedRun.open(str(tmp_path))


def test_a_run_of_an_older_version_is_an_error(finished: FinishedRun, tmp_path: Path) -> None:
    for name in ("recipe.yaml", "summary.json"):
        (tmp_path / name).write_bytes(finished.store.read(name))
    with pytest.raises(SourceError, match=r"no decisions\.json, because an older version .*; run the recipe again"):
        FinishedRun.open(str(tmp_path))
