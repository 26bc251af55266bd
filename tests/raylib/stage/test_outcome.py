"""Outcomes: no record is lost, order stays, and every reject has a reason."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.stage import REJECT_COLUMNS, keep_all, mark_rejected, split_rejected, with_columns


def table_of(count: int) -> pa.Table:
    return pa.table(
        {"id": pa.array([str(i) for i in range(count)], pa.string()), "n": pa.array(range(count), pa.int64())}
    )


@given(st.lists(st.booleans(), max_size=20), st.booleans())
def test_kept_and_rejected_make_up_the_table(flags: list[bool], with_detail: bool) -> None:
    table = table_of(len(flags))
    details = pa.array([f"detail {i}" if flag else None for i, flag in enumerate(flags)], pa.large_string())
    rejected = pa.array(flags, pa.bool_())
    outcome = split_rejected(table, rejected, stage="s", reason="r", detail=details if with_detail else None)
    assert outcome.kept.to_pylist() == [row for row, flag in zip(table.to_pylist(), flags, strict=True) if not flag]
    assert outcome.kept.schema == table.schema
    expected = [
        {"id": str(i), "n": i, "stage": "s", "reason": "r", "detail": f"detail {i}" if with_detail else None}
        for i, flag in enumerate(flags)
        if flag
    ]
    assert outcome.rejected.to_pylist() == expected
    assert outcome.rejected.column_names == ["id", "n", *REJECT_COLUMNS]
    assert outcome.added == 0


def test_keep_all_rejects_nothing_and_copies_nothing() -> None:
    table = table_of(3)
    outcome = keep_all(table)
    assert outcome.kept is table
    assert len(outcome.rejected) == 0


def test_mark_rejected_casts_the_detail() -> None:
    marked = mark_rejected(table_of(2), stage="s", reason="r", detail=pa.array(["a", None], pa.string()))
    assert marked.schema.field("detail").type == pa.large_string()


def test_detail_of_another_length_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        split_rejected(table_of(2), pa.array([True, False]), stage="s", reason="r", detail=pa.array(["x"]))


def test_new_columns_take_the_place_of_old_ones() -> None:
    table = with_columns(table_of(2), {"n": pa.array(["x", "y"]), "m": pa.array([0.5, 1.5])})
    assert table.to_pylist() == [{"id": "0", "n": "x", "m": 0.5}, {"id": "1", "n": "y", "m": 1.5}]
