"""Deduplication stages, and a saved index of records."""

from dedup.against_index import AgainstIndex
from dedup.decontaminate import Decontaminate
from dedup.exact import ExactDedup
from dedup.index import MinHashIndex
from dedup.lines import LineDedup
from dedup.minhash import MinHashDedup
from dedup.semantic import SemanticDedup
from dedup.substring import SubstringDedup

__all__ = [
    "AgainstIndex",
    "Decontaminate",
    "ExactDedup",
    "LineDedup",
    "MinHashDedup",
    "MinHashIndex",
    "SemanticDedup",
    "SubstringDedup",
]
