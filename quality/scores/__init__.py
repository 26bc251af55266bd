"""Scores as columns: one stage a file."""
