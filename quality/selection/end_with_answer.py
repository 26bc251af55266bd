"""The stage `end_with_answer`: conversations without the turns that no answer follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import single_chunk
from raylib.stage import LocalStage, Outcome, keep_all, stage, with_columns

__all__ = ["EndWithAnswer"]


@stage("end_with_answer", kind="cut")
@dataclass(frozen=True)
class EndWithAnswer(LocalStage):
    """Cut the turns behind the last answer of a conversation: a closing thanks, a question that nobody answered.

    Adds `turns_cut`, the number of turns that went. A message that only calls tools is an answer too: the results that
    nobody answered go. A conversation without any answer stays as it is, and so do records of other kinds.
    """

    def __call__(self, table: pa.Table) -> Outcome:
        """Cut the turns and add the column."""
        if "messages" not in table.column_names:
            return keep_all(table)
        lists = single_chunk(table["messages"])
        flat = lists.flatten()
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        owner, at = np.repeat(np.arange(len(lists)), lengths), np.arange(len(flat))
        last = np.full(len(lists), -1, np.int64)
        answers = at[flat.field("role").to_numpy(zero_copy_only=False) == "assistant"]
        last[owner[answers]] = answers  # the last assignment wins
        kept = (at <= last[owner]) | (last[owner] < 0)
        cut = lengths - np.bincount(owner[kept], minlength=len(lists))
        if not kept.all():
            ends = np.concatenate([[0], np.cumsum(lengths - cut)]).astype(np.int32)
            # messages are taken whole, with whatever keys they have
            messages = flat.filter(pa.array(kept))
            offsets = pa.array(ends, mask=np.append(lists.is_null().to_numpy(zero_copy_only=False), False))
            new = pa.ListArray.from_arrays(offsets, messages, type=pa.list_(lists.type.value_field))
            place = table.column_names.index("messages")
            table = table.set_column(place, table.schema.field(place), new.cast(lists.type))
        return keep_all(with_columns(table, {"turns_cut": pa.array(cut.astype(np.int32))}))
