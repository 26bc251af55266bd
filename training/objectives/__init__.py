"""Objectives: the loss of a batch. Losses are summed, so a step is normalised once, by all of its targets."""

from training.objectives.causal import Causal
from training.objectives.dpo import Dpo
from training.objectives.objective import Objective, TokenLosses
from training.objectives.scoring import Scorer

__all__ = ["Causal", "Dpo", "Objective", "Scorer", "TokenLosses"]
