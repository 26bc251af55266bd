"""Lines and paragraphs that come again and again: the boilerplate of a site, and repeats inside a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dedup.clusters import nodes_of
from dedup.folding import fold_hashes
from raylib.schema import single_chunk
from raylib.stage import Outcome, SketchStore, StageInfo, keep_all, mark_rejected, register

__all__ = ["LineDedup"]

_SEPARATORS = {"line": "\n", "paragraph": "\n\n"}


@dataclass(frozen=True)
class _Lines:
    """All lines of a table of documents, flat: owner row, number within the document, hash, length in characters."""

    owner: np.ndarray[Any, Any]
    number: np.ndarray[Any, Any]
    hashes: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]


@dataclass(frozen=True)
class LineDedup:
    """Remove lines (or paragraphs) that stand in many documents, and repeats inside one document.

    A line counts by its folded form (case, width, white space and punctuation do not matter); lines of
    under `min_length` characters are left alone. One that stands in `min_documents` or more different
    documents, counted by source with `by_source`, goes from all of them, or with `keep: first` from all
    but the document with the smallest id. With `within`, a line that came before in the same document
    goes too. A document with under `min_left` characters afterwards is rejected, if it lost a line.
    """

    unit: Literal["line", "paragraph"] = "line"
    min_documents: int = 20
    by_source: bool = True
    within: bool = True
    keep: Literal["none", "first"] = "none"
    min_length: int = 6
    min_left: int = 20

    def __post_init__(self) -> None:
        if self.min_documents < 2:
            raise ValueError(f"min_documents must be at least 2, is {self.min_documents}")

    def setup(self) -> None:
        """Build the folding table before the first shard."""
        fold_hashes(pa.array(["一"], pa.large_string()))

    def _lines(self, table: pa.Table) -> _Lines:
        if "text" not in table.column_names:
            raise ValueError("line_dedup works on documents; conversations have no lines that could go")
        split = pc.split_pattern(single_chunk(table["text"]), _SEPARATORS[self.unit])
        flat = split.flatten()
        counts = pc.list_value_length(split).to_numpy(zero_copy_only=False).astype(np.int64)
        owner = np.repeat(np.arange(len(table), dtype=np.int32), counts)
        first = np.cumsum(counts) - counts
        number = (np.arange(len(flat)) - np.repeat(first, counts)).astype(np.int32)
        lengths = pc.utf8_length(pc.utf8_trim_whitespace(flat)).to_numpy(zero_copy_only=False)
        counted = np.flatnonzero(lengths >= self.min_length)
        hashes = fold_hashes(flat.take(pa.array(counted)))[:, 0]
        return _Lines(owner[counted], number[counted], hashes, lengths[counted])

    def sketch(self, table: pa.Table) -> pa.Table:
        lines = self._lines(table)
        keys = lines.hashes
        if self.by_source:
            salt = [xxhash.xxh64_intdigest((s or "").encode()) for s in table["source"].to_pylist()]
            keys = keys ^ np.array(salt, np.uint64)[lines.owner]
        columns: dict[str, Any] = {"row": pa.array(lines.owner), "key": pa.array(keys), "line": pa.array(lines.number)}
        if self.keep == "first":
            columns["id"] = table["id"].take(pa.array(lines.owner))
        return pa.table(columns)

    def resolve(self, sketches: SketchStore) -> pa.Table:
        table = pa.concat_tables(list(sketches.tables()))
        node = nodes_of(table["shard"].to_numpy(), table["row"].to_numpy())
        key = table["key"].to_numpy()
        order = np.lexsort((node, key))
        key, node = key[order], node[order]
        opens = np.concatenate([[True], key[1:] != key[:-1]])
        group = np.cumsum(opens) - 1
        fresh = opens | np.concatenate([[True], node[1:] != node[:-1]])  # a document counts once
        documents = np.bincount(group, weights=fresh).astype(np.int64)[group]
        gone = documents >= self.min_documents
        if self.keep == "first":
            gone &= ~self._of_first_document(table, order, group, node)
        verdicts = table.select(["shard", "row", "line"]).take(pa.array(order[gone]))
        return verdicts.append_column("documents", pa.array(documents[gone].astype(np.int32)))

    @staticmethod
    def _of_first_document(table: pa.Table, order: Any, group: Any, node: Any) -> Any:
        ids = single_chunk(table["id"]).take(pa.array(order))
        keys = pa.table({"group": pa.array(group), "id": ids, "node": pa.array(node)})
        ranked = pc.sort_indices(keys, sort_keys=[(n, "ascending") for n in keys.column_names]).to_numpy()
        begins = np.concatenate([[True], group[ranked][1:] != group[ranked][:-1]])
        winner = np.zeros(group.max() + 1, np.uint64)
        winner[group[ranked][begins]] = node[ranked][begins]
        return node == winner[group]

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        gone: dict[int, set[int]] = {}
        if len(verdicts):
            for row, line in zip(verdicts["row"].to_pylist(), verdicts["line"].to_pylist(), strict=True):
                gone.setdefault(row, set()).add(line)
        if self.within and len(table):
            lines = self._lines(table)
            order = np.lexsort((lines.number, lines.hashes, lines.owner))
            owner, hashes = lines.owner[order], lines.hashes[order]
            again = order[1:][(owner[1:] == owner[:-1]) & (hashes[1:] == hashes[:-1])]
            for row, line in zip(lines.owner[again].tolist(), lines.number[again].tolist(), strict=True):
                gone.setdefault(row, set()).add(line)
        if not gone:
            return keep_all(table)
        return self._without(table, gone)

    def _without(self, table: pa.Table, gone: dict[int, set[int]]) -> Outcome:
        separator = _SEPARATORS[self.unit]
        texts = single_chunk(table["text"])
        rows = sorted(gone)
        new, empty, details = [], [], []
        for row in rows:
            pieces = texts[row].as_py().split(separator)
            text = separator.join(p for i, p in enumerate(pieces) if i not in gone[row]).strip("\n")
            new.append(text)
            if len(text) < self.min_left:
                empty.append(row)
                details.append(f"{len(gone[row])} of {len(pieces)} {self.unit}s repeated, {len(text)} characters left")
        mask = np.zeros(len(table), np.bool_)
        mask[rows] = True
        changed = pc.replace_with_mask(texts, pa.array(mask), pa.array(new, pa.large_string()))
        dropped = np.zeros(len(table), np.bool_)
        dropped[empty] = True
        rejected = mark_rejected(
            table.filter(pa.array(dropped)),
            stage="line_dedup",
            reason="only_repeated_lines",
            detail=pa.array(details, pa.large_string()),
        )
        kept = table.set_column(table.column_names.index("text"), "text", changed).filter(pa.array(~dropped))
        return Outcome(kept, rejected)


register(
    StageInfo(
        name="line_dedup",
        make=LineDedup,
        kind="global",
        summary=LineDedup.__doc__ or "",
        reason="only_repeated_lines",
    )
)
