"""Stages that derive from the contract, and objects that only look like stages, answer the same calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from raylib.stage import (
    GlobalStage,
    LocalStage,
    Outcome,
    Round,
    Shuffled,
    adapted,
    is_model_based,
    keep_all,
    resolve_in_memory,
    rounds_of,
    split_rejected,
)
from raylib.stage.protocols import Applier

TABLE = pa.table({"id": ["a", "b", "c"], "text": pa.array(["天地玄黄", "宇宙洪荒", "天地玄黄"], pa.large_string())})


@dataclass(frozen=True)
class Store:
    """Everything in memory, as one shard."""

    table: pa.Table

    def tables(self) -> Iterator[pa.Table]:
        yield self.table.append_column("shard", pa.repeat(pa.scalar(0, pa.int32()), len(self.table)))

    def facts(self, nodes: npt.NDArray[np.uint64], columns: Sequence[str] | None = None) -> pa.Table:
        return pa.table({})

    def texts(self, nodes: npt.NDArray[np.uint64]) -> list[str]:
        return []

    def shared(self) -> Iterator[pa.Table]:
        yield from ()


def sketch_of(table: pa.Table) -> pa.Table:
    keys = [hash(text) % 1000 for text in table["text"].to_pylist()]
    rows = pa.array(range(len(table)), pa.int32())
    return pa.table({"row": rows, "key": pa.array(keys, pa.uint64())})


def repeats(table: pa.Table) -> pa.Table:
    seen: set[int] = set()
    keys = table["key"].to_pylist()
    again = []
    for key in keys:
        again.append(key in seen)
        seen.add(key)
    return table.select(["shard", "row"]).filter(pa.array(again))


def without(table: pa.Table, verdicts: pa.Table) -> Outcome:
    gone = set(verdicts["row"].to_pylist())
    return split_rejected(table, pa.array([i in gone for i in range(len(table))]), stage="first", reason="again")


class Derived(GlobalStage):
    def sketch(self, table: pa.Table) -> pa.Table:
        return sketch_of(table)

    def rounds(self) -> tuple[Round, ...]:
        return (Round("compare", lambda store: Shuffled(repeats(pa.concat_tables(list(store.tables()))))),)

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        return without


class LooksLikeOne:
    """The names of a global stage with a single shuffle, and nothing of ours."""

    def sketch(self, table: pa.Table) -> pa.Table:
        return sketch_of(table)

    def facts(self, table: pa.Table) -> pa.Table:
        return table.select(["id"])

    def resolve(self, store: Store) -> pa.Table:
        return repeats(pa.concat_tables(list(store.tables())))

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        return without(table, verdicts)


@pytest.mark.parametrize("made", [Derived(), LooksLikeOne()])
def test_a_global_stage_resolves_and_applies(made: object) -> None:
    stage = adapted(made)
    assert isinstance(stage, GlobalStage)
    sketches, _ = stage.sketch_with_facts(TABLE)
    verdicts = resolve_in_memory(stage, Store(sketches))
    outcome = stage.applier(())(TABLE, verdicts)
    assert outcome.kept["id"].to_pylist() == ["a", "b"]
    assert outcome.rejected["reason"].to_pylist() == ["again"]
    assert [r.name for r in rounds_of(made)] == ["compare" if isinstance(made, Derived) else "resolve"]


def test_facts_of_an_object_that_looks_like_a_stage_are_found() -> None:
    stage = adapted(LooksLikeOne())
    assert isinstance(stage, GlobalStage)
    _, facts = stage.sketch_with_facts(TABLE)
    assert facts is not None
    assert facts["id"].to_pylist() == ["a", "b", "c"]


def test_a_function_is_a_local_stage_whose_hooks_do_nothing() -> None:
    stage = adapted(keep_all)
    assert isinstance(stage, LocalStage)
    stage.check()
    stage.setup()
    assert stage(TABLE).kept.equals(TABLE)
    assert (stage.identity(), stage.notes(), stage.model_based) == (None, None, False)


def test_hooks_of_a_foreign_object_are_called() -> None:
    calls = []

    class Scorer:
        model_based = True

        def setup(self) -> None:
            calls.append("setup")

        def identity(self) -> str:
            return "weights of Monday"

        def __call__(self, table: pa.Table) -> Outcome:
            return keep_all(table)

    stage = adapted(Scorer())
    stage.setup()
    assert calls == ["setup"]
    assert stage.identity() == "weights of Monday"
    assert is_model_based(Scorer())


def test_what_is_not_a_stage_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="42 is not a stage"):
        adapted(42)
    with pytest.raises(TypeError, match="is not a global stage"):
        rounds_of(keep_all)
