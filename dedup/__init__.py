"""Deduplication stages, and a saved index of records.

Every name is imported on first use, so that `import dedup` does not load numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raylib.lazy import lazy_names

if TYPE_CHECKING:
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

_HOME = {
    "AgainstIndex": "dedup.against_index",
    "Decontaminate": "dedup.decontaminate",
    "ExactDedup": "dedup.exact",
    "LineDedup": "dedup.lines",
    "MinHashDedup": "dedup.minhash",
    "MinHashIndex": "dedup.index",
    "SemanticDedup": "dedup.semantic",
    "SubstringDedup": "dedup.substring",
}

__getattr__ = lazy_names(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
