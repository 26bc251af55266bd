"""Workers that die: now and then is part of a long run, again and again without a finished task ends it."""

from __future__ import annotations

import collections
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.engine.deaths import Deaths
from raylib.errors import ClusterLostError


@given(st.integers(1, 300))
def test_deaths_without_a_finished_task_end_the_run(workers: int) -> None:
    deaths = Deaths(workers)
    with pytest.raises(ClusterLostError) as caught:
        collections.deque(map(deaths.add, itertools.repeat("The actor died.\nmore")), maxlen=0)
    said = str(caught.value)
    assert f"{workers} actors" in said
    assert "engine.actors" in said
    assert "run the same command again to continue" in said
    assert said.endswith("(the last one: The actor died.)")


@given(st.integers(1, 64), st.integers(1, 2000))
def test_a_task_that_is_finished_now_and_then_goes_on_for_ever(workers: int, times: int) -> None:
    deaths = Deaths(workers)
    for _ in range(times):
        for _ in range(3 * workers):  # a task that kills its worker is quarantined after as many attempts
            deaths.add("")
        assert deaths.count == 3 * workers
        deaths.forget()
