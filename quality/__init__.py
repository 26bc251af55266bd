"""Quality stages: scores as columns, explicit cuts, difficulty, diversity, selection, safety.

Every name is imported on first use, so that `import quality` loads neither numba nor scikit-learn nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raylib.lazy import lazy_names

if TYPE_CHECKING:
    from quality.embeddings.clustering import Cluster
    from quality.embeddings.embedding import Embed
    from quality.scorers import classify, deita, difficulty, ifd, judge, perplexity, reward_model, safety
    from quality.scores.buckets import PerplexityBuckets
    from quality.scores.classify import Classify
    from quality.scores.difficulty import DifficultyFeatures
    from quality.scores.ifd import Ifd
    from quality.scores.instruction import InstructionFeatures
    from quality.scores.judge import Judge
    from quality.scores.perplexity import Perplexity
    from quality.scores.reward import Deita, RewardModel
    from quality.scores.safety import SafetyScreen
    from quality.selection.drop_columns import DropColumns
    from quality.selection.expressions import evaluate
    from quality.selection.keep_where import KeepWhere
    from quality.selection.mixture import Resample
    from quality.selection.phases import SplitStages
    from quality.selection.selection import Select

__all__ = [
    "Classify",
    "Cluster",
    "Deita",
    "DifficultyFeatures",
    "DropColumns",
    "Embed",
    "Ifd",
    "InstructionFeatures",
    "Judge",
    "KeepWhere",
    "Perplexity",
    "PerplexityBuckets",
    "Resample",
    "RewardModel",
    "SafetyScreen",
    "Select",
    "SplitStages",
    "classify",
    "deita",
    "difficulty",
    "evaluate",
    "ifd",
    "judge",
    "perplexity",
    "reward_model",
    "safety",
]

_HOME = {
    "Classify": "quality.scores.classify",
    "Cluster": "quality.embeddings.clustering",
    "Deita": "quality.scores.reward",
    "DifficultyFeatures": "quality.scores.difficulty",
    "DropColumns": "quality.selection.drop_columns",
    "Embed": "quality.embeddings.embedding",
    "Ifd": "quality.scores.ifd",
    "InstructionFeatures": "quality.scores.instruction",
    "Judge": "quality.scores.judge",
    "KeepWhere": "quality.selection.keep_where",
    "Perplexity": "quality.scores.perplexity",
    "PerplexityBuckets": "quality.scores.buckets",
    "Resample": "quality.selection.mixture",
    "RewardModel": "quality.scores.reward",
    "SafetyScreen": "quality.scores.safety",
    "Select": "quality.selection.selection",
    "SplitStages": "quality.selection.phases",
    "classify": "quality.scorers",
    "deita": "quality.scorers",
    "difficulty": "quality.scorers",
    "evaluate": "quality.selection.expressions",
    "ifd": "quality.scorers",
    "judge": "quality.scorers",
    "perplexity": "quality.scorers",
    "reward_model": "quality.scorers",
    "safety": "quality.scorers",
}

__getattr__ = lazy_names(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
