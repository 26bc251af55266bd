"""Deduplication stages. Each is sketch, resolve, apply; none imports ray."""

from dedup.exact import ExactDedup

__all__ = ["ExactDedup"]
