"""A labelled run that the tests of the review look at."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from raylib.review.population import Population, populations
from raylib.review.rules import FinishedRun
from tests.raylib.review.labelled import Labelled, labelled_run, number_pages

SOURCES = {"论坛": 0.2, "新闻": 0.35}


@pytest.fixture(scope="module")
def records() -> Sequence[Labelled]:
    return number_pages(1500, 1, SOURCES)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, records: Sequence[Labelled]) -> FinishedRun:
    """A run that rejects records with more than 30 % digits, and rewrites full-width signs."""
    folder = tmp_path_factory.mktemp("labelled")
    stages = ["normalise_characters", {"digit_ratio": {"max": 0.3}}, {"language": {"allowed": ["zh", "en", "und"]}}]
    return FinishedRun.open(str(labelled_run(folder, records, stages)))


@pytest.fixture(scope="module")
def digits(finished: FinishedRun) -> Population:
    """The population of its rule about digits."""
    return populations(finished, finished.rules(["digit_ratio"]))["digit_ratio"]
