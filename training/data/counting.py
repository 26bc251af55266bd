"""Counting documents, characters and tokens of each source."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from raylib.records import files_of, source_tables

__all__ = ["count_tokens"]


def count_tokens(sources: Sequence[str], tokenizer_path: str) -> dict[str, dict[str, int]]:
    """Documents, characters and tokens by source, without writing anything."""
    from quality.selection.mixture import mixture_of
    from raylib.token_counts import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_path)

    def named(path: str, name: str) -> Iterator[pa.Table]:
        for table in source_tables(path):
            source = pc.if_else(pc.equal(pc.fill_null(table["source"], ""), ""), name, table["source"])
            yield table.set_column(table.column_names.index("source"), "source", source)

    return mixture_of(itertools.chain.from_iterable(named(path, name) for name, path in files_of(sources)), "source", tokenizer)  # fmt: skip
