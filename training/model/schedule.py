"""Learning rates as a function of the step alone, so there is no state to save or to lose in a resume."""

from __future__ import annotations

import math

from training.config import OptimizerConfig

__all__ = ["learning_rate"]


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Learning rate of a step.

    Args:
        config: The `optimizer` section.
        step: Number of the step, from 0.
        steps: Number of all steps.
    """
    warmup = round(config.warmup * steps) if config.warmup < 1 else round(config.warmup)
    peak = config.learning_rate
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    low = config.min_ratio
    if config.schedule == "cosine":
        return peak * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
    if config.schedule == "linear":
        return peak * (low + (1 - low) * max(0.0, 1 - done))
    if config.schedule == "wsd":
        left = max(0.0, steps - step) / max(1.0, config.decay * steps)
        return peak * (low + (1 - low) * min(1.0, left))
    return peak
