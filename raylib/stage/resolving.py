"""What a stage can do, and all rounds of a global stage over one store in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raylib.stage.protocols import GlobalStage
from raylib.stage.rounds import Round, Shuffled, SketchStore

__all__ = ["is_model_based", "rounds_of"]


def rounds_of(stage: GlobalStage) -> tuple[Round, ...]:
    """The rounds of a global stage; those that only have `resolve` have this one."""
    if hasattr(stage, "rounds"):
        return tuple(stage.rounds())
    return (Round("resolve", lambda store: Shuffled(stage.resolve(store))),)


def resolve_in_memory(stage: GlobalStage, store: SketchStore) -> pa.Table:
    """All rounds of a stage over one store that holds everything: what the engine does, in one process."""
    shared: list[pa.Table] = []
    tables = list(store.tables())
    for this in rounds_of(stage):
        while True:
            result = this.step(_MemoryStore(store, tables, shared))
            if this.broadcast:
                shared.append(result.rows)
                break
            tables = [result.rows] if len(result.rows) else []
            if not (this.repeat and result.changed):
                break
    return tables[0] if tables else pa.table({"shard": pa.array([], pa.int32()), "row": pa.array([], pa.int32())})


@dataclass(frozen=True)
class _MemoryStore:
    base: SketchStore
    held: list[pa.Table]
    broadcast: list[pa.Table]

    def tables(self) -> Iterator[pa.Table]:
        yield from self.held

    def shared(self) -> Iterator[pa.Table]:
        yield from self.broadcast

    def facts(self, nodes: np.ndarray[Any, Any], columns: Sequence[str] | None = None) -> pa.Table:
        return self.base.facts(nodes, columns)

    def texts(self, nodes: np.ndarray[Any, Any]) -> list[str]:
        return self.base.texts(nodes)


def is_model_based(stage: Any) -> bool:
    """Whether a stage loads a model (`model_based`); see LocalStage."""
    return bool(getattr(stage, "model_based", False))
