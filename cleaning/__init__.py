"""Cleaning rules: pure functions over Arrow string arrays, no Ray anywhere."""

from cleaning import rules
from cleaning.declare import reject, rewrite
from cleaning.rule import Rule

__all__ = ["Rule", "reject", "rewrite", "rules"]
