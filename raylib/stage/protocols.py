"""The two stage protocols: what the engine asks of a local and of a global stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from raylib.stage.outcome import Outcome
from raylib.stage.rounds import SketchStore

__all__ = ["GlobalStage", "LocalStage"]


@runtime_checkable
class LocalStage(Protocol):
    """Looks at each record on its own. Runs fused with its neighbours inside one actor.

    Any stage may also have `setup()`, called once an actor, and `identity()`: what beside its parameters
    and the files they name determines its output (the version of an index, say).

    A stage with `model_based = True` loads a model: it runs in a segment of its own, committed as soon as it is
    done, so that no shard is scored twice; on a GPU where the cluster has some; and `setup()` waits until the first
    shard. Its `check()` is called before any work and raises ValueError for what can be seen to be wrong by then.
    `notes()` gives counters (tokens, seconds, requests, cost) since its last call; they add up in the report.
    """

    def __call__(self, table: pa.Table) -> Outcome: ...


@runtime_checkable
class GlobalStage(Protocol):
    """Needs all records: deduplication, clustering, selection.

    `sketch` maps a table to small rows, one or more a record, and must hold `row: int32` (the
    position in the table) and `key: uint64` (records that may meet share a key). The engine
    partitions sketches by ranges of `key`, sorts and spills them; `resolve` sees one range at a
    time and returns verdicts with `shard`, `row` and whatever `apply` needs. `apply` gets a table
    and the verdicts for its rows.

    Optional methods: `facts(table)` gives one row a record that later rounds can look up by position
    (signatures, priorities); `rounds()` gives several shuffles instead of the single `resolve`;
    `applier(shared)` makes the function to use instead of `apply` from the tables of broadcast rounds;
    `section(notes, texts)` makes the stage's part of the report from the notes of its rounds.
    """

    def sketch(self, table: pa.Table) -> pa.Table: ...

    def resolve(self, sketches: SketchStore) -> pa.Table: ...

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome: ...


Kernel = Callable[..., Any]
