"""The stage `end_with_answer`: conversations without the turns that no answer follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from quality.text.turns import Message
from raylib.schema import single_chunk
from raylib.stage import LocalStage, Outcome, keep_all, stage, with_columns

__all__ = ["EndWithAnswer"]


@stage("end_with_answer", kind="cut")
@dataclass(frozen=True)
class EndWithAnswer(LocalStage):
    """Cut the turns behind the last answer of a conversation: a closing thanks, a question that nobody answered.

    Adds `turns_cut`, the number of turns that went. A conversation without any answer stays as it is, and so do
    records of other kinds.
    """

    def __call__(self, table: pa.Table) -> Outcome:
        """Cut the turns and add the column."""
        cut = np.zeros(len(table), np.int32)
        if "messages" not in table.column_names:
            return keep_all(table)
        column = single_chunk(table["messages"])
        changed: dict[int, list[Message]] = {}
        for row, turns in enumerate(column.to_pylist()):
            answers = [i for i, turn in enumerate(turns or []) if turn["role"] == "assistant"]
            if answers and answers[-1] < len(turns) - 1:
                changed[row] = turns[: answers[-1] + 1]
                cut[row] = len(turns) - 1 - answers[-1]
        if changed:
            mask = np.zeros(len(table), np.bool_)
            mask[list(changed)] = True
            new = pa.array([changed[row] for row in sorted(changed)], column.type)
            # kept rows and new ones, taken in order: lists cannot be replaced under a mask
            order = np.arange(len(table))
            order[mask] = len(table) + np.arange(len(new))
            column = pa.concat_arrays([column, new]).take(pa.array(order))
            at = table.column_names.index("messages")
            table = table.set_column(at, table.schema.field(at), column)
        return keep_all(with_columns(table, {"turns_cut": pa.array(cut)}))
