"""Scorers for `Dataset.score`: `ds.score(ifd("path/to/model"))`. Each is the stage of that name with its parameters."""

from __future__ import annotations

from typing import Any

from quality.scores.classify import Classify
from quality.scores.difficulty import DifficultyFeatures
from quality.scores.ifd import Ifd
from quality.scores.judge import Judge
from quality.scores.perplexity import Perplexity
from quality.scores.reward import Deita, RewardModel
from quality.scores.safety import SafetyScreen

__all__ = ["classify", "deita", "difficulty", "ifd", "judge", "perplexity", "reward_model", "safety"]


def ifd(model: str, **parameters: Any) -> Ifd:
    """Instruction-following difficulty by a causal model; see `Ifd`."""
    return Ifd(model, **parameters)


def perplexity(model: str, **parameters: Any) -> Perplexity:
    """Perplexity by a causal model or a character n-gram model; see `Perplexity`."""
    return Perplexity(model, **parameters)


def classify(model: str, **parameters: Any) -> Classify:
    """Labels by a fastText classifier; see `Classify`."""
    return Classify(model, **parameters)


def judge(model: str, rubric: Any = "quality", **parameters: Any) -> Judge:
    """Quality or difficulty from 1 to 5 by a strong model at an endpoint; see `Judge`."""
    return Judge(model, rubric, **parameters)


def reward_model(model: str, **parameters: Any) -> RewardModel:
    """The score of a reward model; see `RewardModel`."""
    return RewardModel(model, **parameters)


def deita(model: str, of: Any = "quality", **parameters: Any) -> Deita:
    """Quality or complexity from 1 to 6 by a Deita-style scorer; see `Deita`."""
    return Deita(model, of, **parameters)


def difficulty(**parameters: Any) -> DifficultyFeatures:
    """Cheap signs of difficulty that need no model; see `DifficultyFeatures`."""
    return DifficultyFeatures(**parameters)


def safety(**parameters: Any) -> SafetyScreen:
    """Harmful prompts and responses by category; see `SafetyScreen`."""
    return SafetyScreen(**parameters)
