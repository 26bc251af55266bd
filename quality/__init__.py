"""Quality stages: scores as columns, explicit cuts, difficulty, diversity, selection, safety."""

from quality.classifier import Classify
from quality.clustering import Cluster
from quality.columns import DropColumns
from quality.embedding import Embed
from quality.ifd import Ifd
from quality.instruction import DifficultyFeatures, InstructionFeatures
from quality.judge import Judge
from quality.keep_where import KeepWhere, evaluate
from quality.mixture import Resample
from quality.perplexity import Perplexity, PerplexityBuckets
from quality.phases import SplitStages
from quality.reward import Deita, RewardModel
from quality.safety import SafetyScreen
from quality.scorers import classify, deita, difficulty, ifd, judge, perplexity, reward_model, safety
from quality.selection import Select

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
