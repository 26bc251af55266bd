"""Rounds: one shuffle or several, repeated until nothing changes, broadcast; the same for any partition of the keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.exact import ExactDedup
from raylib.stage import (
    Applier,
    GlobalStage,
    Outcome,
    Round,
    Shuffled,
    SketchStore,
    keep_all,
    no_verdicts,
    resolve_in_memory,
    rounds_of,
    single_round,
)


@dataclass(frozen=True)
class Store:
    """Sketches of some shards in memory."""

    runs: Sequence[pa.Table]
    broadcast: Sequence[pa.Table] = field(default=())

    def tables(self) -> Iterator[pa.Table]:
        yield from self.runs

    def facts(self, nodes: npt.NDArray[np.uint64], columns: Sequence[str] | None = None) -> pa.Table:
        return pa.table({})

    def texts(self, nodes: npt.NDArray[np.uint64]) -> list[str]:
        return []

    def shared(self) -> Iterator[pa.Table]:
        yield from self.broadcast


def keys(values: Sequence[int]) -> pa.Table:
    return pa.table({"key": pa.array(values, pa.uint64())})


def keep_all_of(table: pa.Table, verdicts: pa.Table) -> Outcome:
    return keep_all(table)


@dataclass(frozen=True)
class Counting(GlobalStage):
    """Halves keys until all are 0, after it has shared how many there are."""

    def sketch(self, table: pa.Table) -> pa.Table:
        return table.select(["key"])

    def rounds(self) -> tuple[Round, ...]:
        return (
            Round("count", self._count, broadcast=True),
            Round("halve", self._halve, repeat=True),
            Round("end", self._end),
        )

    def _count(self, store: SketchStore) -> Shuffled:
        return Shuffled(pa.table({"count": [sum(len(t) for t in store.tables())]}))

    def _halve(self, store: SketchStore) -> Shuffled:
        values = np.concatenate([t["key"].to_numpy() for t in store.tables()] or [np.zeros(0, np.uint64)])
        return Shuffled(keys((values // 2).tolist()), changed=bool((values > 0).any()))

    def _end(self, store: SketchStore) -> Shuffled:
        (counted,) = store.shared()
        rows = pa.concat_tables(list(store.tables()))
        total = counted["count"][0].as_py()
        return Shuffled(rows.append_column("of", pa.array([total] * len(rows), pa.int64())))

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        return keep_all_of


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_round_is_repeated_until_nothing_changes_and_shares_what_it_broadcasts(runs: list[list[int]]) -> None:
    verdicts = resolve_in_memory(Counting(), Store([keys(run) for run in runs]))
    total = sum(map(len, runs))
    assert verdicts["key"].to_pylist() == [0] * total
    assert verdicts["of"].to_pylist() == [total] * total


texts = st.lists(
    st.sampled_from(["天地玄黄", "天地，玄黄", "宇宙洪荒", "日月盈昃", "Ａ", "a"]), min_size=1, max_size=12
)


@settings(max_examples=60)
@given(texts, st.data())
def test_verdicts_do_not_depend_on_shards_or_partition(listed: list[str], data: st.DataObject) -> None:
    """Each shard is sketched on its own, and each range of keys is resolved on its own."""
    stage = ExactDedup()
    ids = [f"{i:02d}" for i in range(len(listed))]
    border = data.draw(st.integers(0, len(listed)))
    whole = duplicates(stage, [(ids, listed)])
    halves = duplicates(stage, [(ids[:border], listed[:border]), (ids[border:], listed[border:])])
    cut = data.draw(st.integers(0, (1 << 64) - 1))
    parts = duplicates(stage, [(ids, listed)], cut)
    assert whole == halves == parts
    assert len(whole) == len(listed) - len({t.replace("，", "").lower().replace("Ａ".lower(), "a") for t in listed})


def duplicates(stage: ExactDedup, shards: Sequence[tuple[list[str], list[str]]], cut: int = 0) -> set[tuple[str, str]]:
    """Pairs of ids: the record that was removed, and the one that stays."""
    runs = []
    for number, (ids, listed) in enumerate(shards):
        table = pa.table({"id": pa.array(ids, pa.string()), "text": pa.array(listed, pa.large_string())})
        sketches = stage.sketch(table)
        runs.append(sketches.append_column("shard", pa.array([number] * len(sketches), pa.int32())))
    found = set()
    for above in (False, True):
        part = [run.filter(pa.array((run["key"].to_numpy() >= np.uint64(cut)) == above)) for run in runs]
        if sum(map(len, part)):
            verdicts = resolve_in_memory(stage, Store(part))
            found |= {(shards[v["shard"]][0][v["row"]], v["duplicate_of"]) for v in verdicts.to_pylist()}
    return found


def test_a_single_round_takes_its_function_and_its_name() -> None:
    (only,) = single_round(lambda store: keys([1, 2]))
    assert only.name == "resolve"
    assert only.step(Store([])).rows["key"].to_pylist() == [1, 2]
    assert (only.repeat, only.broadcast) == (False, False)
    assert single_round(lambda store: keys([]), "compare")[0].name == "compare"
    assert [r.name for r in rounds_of(ExactDedup())] == ["resolve"]


def test_no_verdicts_have_the_columns_of_verdicts() -> None:
    assert no_verdicts(Store([])).rows.schema == pa.schema([("shard", pa.int32()), ("row", pa.int32())])


def test_rounds_of_something_else_are_an_error() -> None:
    with pytest.raises(TypeError, match="is not a global stage"):
        rounds_of(keep_all)
