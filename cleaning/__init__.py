"""Cleaning rules: pure functions over Arrow string arrays, no Ray anywhere."""

from cleaning import rules
from cleaning.rule import Rule, reject, rewrite

__all__ = ["Rule", "reject", "rewrite", "rules"]
