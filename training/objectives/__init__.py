"""Objectives: what a batch's loss is. Summed losses, so that a step is normalised once, by all of its targets."""

from training.objectives.causal import Causal
from training.objectives.dpo import Dpo
from training.objectives.scoring import Scorer

__all__ = ["Causal", "Dpo", "Scorer"]
