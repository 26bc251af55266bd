"""Quality stages: scores as columns, explicit cuts, difficulty, diversity, selection, safety."""

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
