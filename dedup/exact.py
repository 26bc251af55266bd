"""Exact deduplication: equal folded texts (or equal bytes) form a group, one record of each stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.folding import fold_hashes, raw_hashes
from dedup.verdicts import priority_column, row_verdicts
from raylib.schema import single_chunk, text_of
from raylib.stage import Outcome, SketchStore, StageInfo, keep_all, register, split_rejected

__all__ = ["ExactDedup"]


@dataclass(frozen=True)
class ExactDedup:
    """Keep one record of each group of equal texts.

    Equal means the same 128-bit hash of the folded text (NFKC, case, white space and punctuation
    folded) or, with `on: bytes`, of the raw bytes. Of a group stays the record that comes first by
    `priority` (see `priority_column`), then the one with the smallest id, then the one that comes
    first in the input; never the one that happened to arrive first.
    """

    on: Literal["folded", "bytes"] = "folded"
    priority: tuple[str, ...] = ()

    def setup(self) -> None:
        """Build the folding table before the first shard."""
        fold_hashes(pa.array(["一"], pa.large_string()))

    def sketch(self, table: pa.Table) -> pa.Table:
        texts = text_of(table)
        hashes = fold_hashes(texts) if self.on == "folded" else raw_hashes(texts)
        columns: dict[str, Any] = {
            "row": pa.array(np.arange(len(table), dtype=np.int32)),
            "key": pa.array(np.ascontiguousarray(hashes[:, 0])),
            "key_low": pa.array(np.ascontiguousarray(hashes[:, 1])),
            "id": table["id"],
        }
        for i, expression in enumerate(self.priority):
            columns[f"priority_{i}"] = pa.array(priority_column(table, expression))
        return pa.table(columns)

    def resolve(self, sketches: SketchStore) -> pa.Table:
        table = pa.concat_tables(list(sketches.tables()))
        high, low = table["key"].to_numpy(), table["key_low"].to_numpy()
        order = np.lexsort((low, high))
        same = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
        grouped = np.zeros(len(order), np.bool_)
        grouped[1:] |= same
        grouped[:-1] |= same
        first = np.ones(len(order), np.bool_)
        first[1:] = ~same
        group = np.cumsum(first)[grouped]
        members = table.take(pa.array(order[grouped])).append_column("group", pa.array(group))
        keys = [("group", "ascending")]
        keys += [(f"priority_{i}", "ascending") for i in range(len(self.priority))]
        keys += [("id", "ascending"), ("shard", "ascending"), ("row", "ascending")]
        members = members.take(pc.sort_indices(members, sort_keys=keys))
        groups = members["group"].to_numpy()
        opens = np.ones(len(groups), np.bool_)
        opens[1:] = groups[1:] != groups[:-1]
        leader = np.maximum.accumulate(np.where(opens, np.arange(len(groups)), 0))
        losers = pa.array(~opens)
        return pa.table(
            {
                "shard": members["shard"].filter(losers),
                "row": members["row"].filter(losers),
                "duplicate_of": members["id"].take(pa.array(leader)).filter(losers),
            }
        )

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        if len(verdicts) == 0:
            return keep_all(table)
        index = row_verdicts(table, verdicts)
        rejected = pa.array(index >= 0)
        where = pa.array(np.maximum(index, 0), mask=index < 0)
        detail = pc.binary_join_element_wise(
            "duplicate of ", verdicts["duplicate_of"].take(where).cast(pa.string()), ""
        )
        return split_rejected(
            table, rejected, stage="exact_dedup", reason="exact_duplicate", detail=single_chunk(detail)
        )


register(
    StageInfo(
        name="exact_dedup",
        make=ExactDedup,
        kind="global",
        summary=ExactDedup.__doc__ or "",
        reason="exact_duplicate",
    )
)
