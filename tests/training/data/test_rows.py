"""Rows: streams that are cut, whole samples that are packed."""

from __future__ import annotations

import numpy as np

from training.data.rows import Rows, rows_of
from training.data.token_set import TokenSet


def test_pretraining_rows_are_the_stream_cut(tokens: dict[str, str]) -> None:
    held = TokenSet(tokens["pretrain"])
    rows = Rows(held, 50, packing=True, number=0)
    whole = np.concatenate([t for i in range(rows.count) for t in rows.row(i).ids])
    assert np.array_equal(whole, np.asarray(held.tokens))
    assert all(rows.row(i).length == 50 for i in range(rows.count - 1))
    borders = set(np.asarray(held.starts).tolist())
    at = 0
    for i in range(rows.count):
        for part in rows.row(i).ids:
            assert at in borders or at % 50 == 0
            at += len(part)


def test_packed_rows_hold_whole_samples_within_the_length(tokens: dict[str, str]) -> None:
    packed, single = rows_of([tokens["sft"]], 128, packing=True)[0], rows_of([tokens["sft"]], 128, packing=False)[0]
    assert packed.count < single.count
    everything = [ids for i in range(packed.count) for ids in packed.row(i).ids]
    assert len(everything) == single.count
    assert all(np.array_equal(a, single.row(i).ids[0]) for i, a in enumerate(everything))
    assert all(packed.row(i).length <= 128 for i in range(packed.count))
