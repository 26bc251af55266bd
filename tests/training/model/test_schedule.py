"""Learning rates."""

from __future__ import annotations

import pytest

from training.config import OptimizerConfig
from training.model.schedule import learning_rate


def test_rates_are_a_function_of_the_step() -> None:
    cosine = OptimizerConfig(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(cosine, s, 100) for s in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.01
    assert learning_rate(OptimizerConfig(learning_rate=1.0, warmup=5), 4, 100) == 1.0
    wsd = [
        learning_rate(OptimizerConfig(learning_rate=1.0, warmup=0, schedule="wsd", decay=0.2), s, 100)
        for s in range(100)
    ]
    assert wsd[:80] == [1.0] * 80
    assert wsd[90] == pytest.approx(0.5)
    linear = OptimizerConfig(learning_rate=1.0, warmup=0, schedule="linear", min_ratio=0.1)
    assert learning_rate(linear, 50, 100) == pytest.approx(0.55)
