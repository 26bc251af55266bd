"""Scorers for `Dataset.score`, such as `ds.score(ifd("path/to/model"), difficulty())`.

Each makes the stage of that name and takes the stage's parameters; required ones, such as `model`, come first. All of
them raise ParameterError for parameters that cannot be right.
"""

from __future__ import annotations

from quality.scores.classify import Classify
from quality.scores.difficulty import DifficultyFeatures
from quality.scores.ifd import Ifd
from quality.scores.judge import Judge
from quality.scores.perplexity import Perplexity
from quality.scores.reward import Deita, RewardModel
from quality.scores.safety import SafetyScreen

__all__ = ["classify", "deita", "difficulty", "ifd", "judge", "perplexity", "reward_model", "safety"]

ifd = Ifd
"""Instruction-following difficulty by the causal model in a folder: `ifd(model)`; see `Ifd`."""

perplexity = Perplexity
"""Perplexity by a causal model, a character n-gram model or a KenLM model: `perplexity(model)`; see `Perplexity`."""

classify = Classify
"""Labels by a fastText classifier: `classify(model)`; see `Classify`."""

judge = Judge
"""Quality or difficulty from 1 to 5 by a strong model at an endpoint: `judge(model, rubric="quality")`; see `Judge`."""

reward_model = RewardModel
"""Score of the reward model in a folder: `reward_model(model)`; see `RewardModel`."""

deita = Deita
"""Quality or complexity from 1 to 6 by a Deita-style scorer: `deita(model, of="quality")`; see `Deita`."""

difficulty = DifficultyFeatures
"""Cheap signs of difficulty that need no model: `difficulty()`; see `DifficultyFeatures`."""

safety = SafetyScreen
"""Harmful prompts and responses by category: `safety()`; see `SafetyScreen`."""
