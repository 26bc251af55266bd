"""A driver whose workers are all gone says so, and says when one is back."""

from __future__ import annotations

import pytest

from raylib.engine.absence import Absence


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def said_after(caplog: pytest.LogCaptureFixture, clock: Clock, absence: Absence, seconds: float, some: bool) -> str:
    caplog.clear()
    for _ in range(int(seconds)):
        clock.seconds += 1
        absence.note(some)
    return caplog.text


def test_workers_that_are_away_for_a_while_are_told_of_once_and_told_when_they_are_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    absence = Absence(lambda: 0, clock)
    assert not said_after(caplog, clock, absence, 10, some=False)
    assert not said_after(caplog, clock, absence, 1, some=True), "one that was back soon is not worth a word"
    said = said_after(caplog, clock, absence, 60, some=False)
    assert said.count("no worker has been there for 25 s, and the cluster has 0 machines") == 1, said
    assert "the run waits for one" in said
    assert "no worker has been there for 325 s" in said_after(caplog, clock, absence, 300, some=False)
    assert "a worker is there again after 360 s" in said_after(caplog, clock, absence, 1, some=True)
    assert not said_after(caplog, clock, absence, 10, some=True)
