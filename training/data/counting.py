"""Counting documents, characters and tokens of each source."""

from __future__ import annotations

from collections.abc import Sequence

from raylib.records import files_of, with_source

__all__ = ["count_tokens"]


def count_tokens(sources: Sequence[str], tokenizer_path: str) -> dict[str, dict[str, int]]:
    """Documents, characters and tokens by source, without writing anything."""
    from quality.selection.mixture import mixture_of
    from raylib.token_counts import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_path)
    tables = (with_source(table, file.source) for file in files_of(sources) for table in file.tables())
    return mixture_of(tables, "source", tokenizer)
