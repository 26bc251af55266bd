"""Exact deduplication: equal folded texts form a group, one record of each stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.folding import Normalise, fold_hashes, level_for, prepare
from dedup.sameness import compared_texts, mark_hashes
from dedup.verdicts import priority_columns, verdict_places
from raylib.schema import single_chunk
from raylib.stage import (
    Applier,
    GlobalStage,
    Outcome,
    Round,
    SketchStore,
    keep_all,
    single_round,
    split_rejected,
    stage,
)

__all__ = ["ExactDedup"]


@stage("exact_dedup", kind="global", reason="exact_duplicate")
@dataclass(frozen=True)
class ExactDedup(GlobalStage):
    """Keep one record of each group of equal texts.

    Texts are compared by 128-bit hashes. Of a group stays the record that comes first by `priority`, then the one with
    the smallest id, then the one that comes first in the input; never the one that happened to arrive first.

    The text of a chat is what all its messages say, with reasoning and calls of tools; ids of calls do not count. Chats
    with equal texts are not equal if they reason or call tools in different places, or offer different tools;
    preferences not if their answers are swapped; feedback not if its labels differ. Roles, names and other keys of
    messages do not count.

    Attributes:
        normalise: What may differ in equal texts: nothing (`none`), width and white space (`strict`), also case and
            punctuation between words (`standard`), also emoji and decorations (`loose`); `auto` is `standard` for
            documents and `strict` for chats. Operators, signs, decimal points, `#` and units always count.
        priority: What decides who stays, in order: `longest`, `shortest`, `column`, `-column` or `source:a,b,c`.
    """

    normalise: Normalise = "auto"
    priority: tuple[str, ...] = ()

    def setup(self) -> None:
        """Build the folding tables before the first shard."""
        prepare(self.normalise)

    def sketch(self, table: pa.Table) -> pa.Table:
        """The hash, id and priorities of each record."""
        texts = compared_texts(table)
        hashes = fold_hashes(texts, level_for(self.normalise, table)) ^ mark_hashes(table)
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(np.ascontiguousarray(hashes[:, 0])),
                "key_low": pa.array(np.ascontiguousarray(hashes[:, 1])),
                "id": table["id"],
                **priority_columns(table, self.priority),
            }
        )

    def rounds(self) -> tuple[Round, ...]:
        """One shuffle: equal hashes meet."""
        return single_round(self._duplicates)

    def _duplicates(self, store: SketchStore) -> pa.Table:
        table = pa.concat_tables(list(store.tables()))
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
        names = ["group", *(f"priority_{i}" for i in range(len(self.priority))), "id", "shard", "row"]
        members = members.take(pc.sort_indices(members, sort_keys=[(name, "ascending") for name in names]))
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

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """Reject the records that are equal to another one."""
        return _reject_duplicates


def _reject_duplicates(table: pa.Table, verdicts: pa.Table) -> Outcome:
    if len(verdicts) == 0:
        return keep_all(table)
    places = verdict_places(table, verdicts)
    ids = verdicts["duplicate_of"].take(places).cast(pa.string())
    detail = single_chunk(pc.binary_join_element_wise("duplicate of ", ids, ""))
    return split_rejected(table, places.is_valid(), stage="exact_dedup", reason="exact_duplicate", detail=detail)
