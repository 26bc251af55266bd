"""Counting documents, characters and tokens of each source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from quality.selection.mixture import mixture_of
from raylib.errors import SourceError
from raylib.records import Unread, files_of, with_source
from raylib.token_counts import load_tokenizer

__all__ = ["SourceCounts", "count_tokens"]


class SourceCounts(TypedDict):
    """Sizes of a source."""

    documents: int
    characters: int
    tokens: int


def count_tokens(sources: Sequence[str], tokenizer_path: str) -> dict[str, SourceCounts]:
    """Documents, characters and tokens by source; nothing is written.

    Args:
        sources: Files, folders of runs, globs or URIs.
        tokenizer_path: Path of a tokenizer's folder, or of its tokenizer.json.

    Returns:
        Counts by source, the source with most characters first.
    """
    tokenizer = load_tokenizer(tokenizer_path)
    files, unread = files_of(sources), Unread()
    tables = (with_source(table, file.source) for file in files for table in file.tables(rejected=unread))
    counted = mixture_of(tables, "source", tokenizer)
    unread.tell(", ".join(sources))
    if not counted:
        raise SourceError(f"{', '.join(sources)}: no records to count")
    return {
        source: SourceCounts(documents=row["documents"], characters=row["characters"], tokens=row["tokens"])
        for source, row in counted.items()
    }
