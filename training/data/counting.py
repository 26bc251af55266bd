"""Counting documents, characters and tokens of each source."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from quality.selection.mixture import mixture_of
from raylib.records import files_of, source_tables
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
    tables = itertools.chain.from_iterable(_named(path, name) for name, path in files_of(sources))
    counted = mixture_of(tables, "source", tokenizer)
    return {
        source: SourceCounts(documents=row["documents"], characters=row["characters"], tokens=row["tokens"])
        for source, row in counted.items()
    }


def _named(path: str, name: str) -> Iterator[pa.Table]:
    """Tables of a file, whose records without a source get this name."""
    for table in source_tables(path):
        source = pc.if_else(pc.equal(pc.fill_null(table["source"], ""), ""), name, table["source"])
        yield table.set_column(table.column_names.index("source"), "source", source)
