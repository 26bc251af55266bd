"""Deduplication stages. Each is sketch, resolve, apply; none imports ray."""

from dedup.exact import ExactDedup
from dedup.minhash import MinHashDedup

__all__ = ["ExactDedup", "MinHashDedup"]
