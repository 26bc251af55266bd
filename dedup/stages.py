"""The stages of this package; importing this module registers them."""

from dedup import against_index, decontaminate, exact, lines, minhash, semantic, substring

__all__ = ["against_index", "decontaminate", "exact", "lines", "minhash", "semantic", "substring"]
