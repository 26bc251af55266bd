"""Texts of conversations: turns, words, patterns."""
