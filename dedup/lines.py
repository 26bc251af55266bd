"""Lines and paragraphs that are repeated: the boilerplate of a site, and repeats inside a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.clusters import Nodes, nodes_of
from dedup.folding import Normalise, fold_hashes, level_for, prepare
from raylib.errors import ParameterError, StageError
from raylib.hashing import text_hashes
from raylib.schema import single_chunk
from raylib.stage import Applier, GlobalStage, Outcome, Round, SketchStore, keep_all, single_round, stage
from raylib.stage.outcome import mark_rejected

__all__ = ["LineDedup"]

_SEPARATORS = {"line": "\n", "paragraph": "\n\n"}


@dataclass(frozen=True)
class _Lines:
    """The lines of a table of documents that count.

    Attributes:
        owner: Document of each line, [L].
        number: Number of each line within its document, [L].
        hashes: Hash of each folded line, [L].
    """

    owner: npt.NDArray[np.int32]
    number: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]


@stage("line_dedup", kind="global", reason="only_repeated_lines")
@dataclass(frozen=True)
class LineDedup(GlobalStage):
    """Remove lines (or paragraphs) that occur in many documents, and repeats inside one document.

    Lines are compared in their folded form: by default case, width, white space and punctuation between words do not
    matter. A document that loses lines and becomes too short is rejected.

    Attributes:
        unit: Whether lines or paragraphs are removed.
        min_documents: Number of different documents from which a line in them is removed, at least 2.
        by_source: Whether documents are counted for each source separately.
        within: Whether a line that came before in the same document is removed too.
        keep: Whether such a line is removed from all documents (`none`), or stays in the one with the smallest id
            (`first`).
        min_length: Length of the shortest line that is looked at, in characters.
        min_left: Length below which a document that lost lines is rejected, in characters.
        normalise: What may differ in equal lines: `none`, `strict`, `standard` or `loose`, as in `exact_dedup`; `auto`
            is `standard`.
    """

    unit: Literal["line", "paragraph"] = "line"
    min_documents: int = 20
    by_source: bool = True
    within: bool = True
    keep: Literal["none", "first"] = "none"
    min_length: int = 6
    min_left: int = 20
    normalise: Normalise = "auto"

    def __post_init__(self) -> None:
        if self.min_documents < 2:
            raise ParameterError(f"min_documents must be at least 2, is {self.min_documents}")

    def setup(self) -> None:
        """Build the folding tables before the first shard."""
        prepare(self.normalise)

    def _lines(self, table: pa.Table) -> _Lines:
        if "text" not in table.column_names:
            raise StageError(f"line_dedup works on documents; there is no column 'text' in {table.column_names}")
        split = pc.split_pattern(single_chunk(table["text"]), _SEPARATORS[self.unit])
        flat = split.flatten()
        counts = pc.list_value_length(split).to_numpy(zero_copy_only=False).astype(np.int64)
        owner = np.repeat(np.arange(len(table), dtype=np.int32), counts)
        first = np.cumsum(counts) - counts
        number = (np.arange(len(flat)) - np.repeat(first, counts)).astype(np.int32)
        lengths = pc.utf8_length(pc.utf8_trim_whitespace(flat)).to_numpy(zero_copy_only=False)
        counted = np.flatnonzero(lengths >= self.min_length)
        hashes = fold_hashes(flat.take(pa.array(counted)), level_for(self.normalise, table))[:, 0]
        return _Lines(owner[counted], number[counted], hashes)

    def sketch(self, table: pa.Table) -> pa.Table:
        """The hash and the number of each line."""
        lines = self._lines(table)
        keys = lines.hashes
        if self.by_source:
            keys = keys ^ text_hashes(table["source"].to_pylist())[lines.owner]
        columns = {"row": pa.array(lines.owner), "key": pa.array(keys), "line": pa.array(lines.number)}
        if self.keep == "first":
            columns["id"] = table["id"].take(pa.array(lines.owner))
        return pa.table(columns)

    def rounds(self) -> tuple[Round, ...]:
        """One shuffle: equal lines meet."""
        return single_round(self._repeated)

    def _repeated(self, store: SketchStore) -> pa.Table:
        table = pa.concat_tables(list(store.tables()))
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
            ids = single_chunk(table["id"]).take(pa.array(order))
            gone &= ~_of_first_document(ids, group, node)
        verdicts = table.select(["shard", "row", "line"]).take(pa.array(order[gone]))
        return verdicts.append_column("documents", pa.array(documents[gone].astype(np.int32)))

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """Remove the repeated lines, and reject the documents that are too short without them."""
        return self._apply

    def _apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        gone: dict[int, set[int]] = {}
        if len(verdicts):
            for row, line in zip(verdicts["row"].to_pylist(), verdicts["line"].to_pylist(), strict=True):
                gone.setdefault(row, set()).add(line)
        if self.within and len(table):
            for row, line in self._repeats_within(table):
                gone.setdefault(row, set()).add(line)
        return self._without(table, gone) if gone else keep_all(table)

    def _repeats_within(self, table: pa.Table) -> list[tuple[int, int]]:
        """Row and number of every line that came before in its document."""
        lines = self._lines(table)
        order = np.lexsort((lines.number, lines.hashes, lines.owner))
        owner, hashes = lines.owner[order], lines.hashes[order]
        again = order[1:][(owner[1:] == owner[:-1]) & (hashes[1:] == hashes[:-1])]
        return list(zip(lines.owner[again].tolist(), lines.number[again].tolist(), strict=True))

    def _without(self, table: pa.Table, gone: dict[int, set[int]]) -> Outcome:
        """The table without these lines of its rows."""
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


def _of_first_document(ids: pa.Array, group: npt.NDArray[np.int64], node: Nodes) -> npt.NDArray[np.bool_]:
    """Whether each line belongs to the document with the smallest id of its group."""
    keys = pa.table({"group": pa.array(group), "id": ids, "node": pa.array(node)})
    ranked = pc.sort_indices(keys, sort_keys=[(n, "ascending") for n in keys.column_names]).to_numpy()
    begins = np.concatenate([[True], group[ranked][1:] != group[ranked][:-1]])
    winner = np.zeros(group.max() + 1, np.uint64)
    winner[group[ranked][begins]] = node[ranked][begins]
    return np.asarray(node == winner[group])
