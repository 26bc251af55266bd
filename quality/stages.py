"""The stages of this package: importing this module registers them."""

from quality.embeddings import clustering, embedding
from quality.scores import buckets, classify, difficulty, ifd, instruction, judge, perplexity, reward, safety
from quality.selection import drop_columns, end_with_answer, keep_where, mixture, phases, selection

__all__ = [
    "buckets",
    "classify",
    "clustering",
    "difficulty",
    "drop_columns",
    "embedding",
    "end_with_answer",
    "ifd",
    "instruction",
    "judge",
    "keep_where",
    "mixture",
    "perplexity",
    "phases",
    "reward",
    "safety",
    "selection",
]
