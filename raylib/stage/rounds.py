"""The rounds of a global stage: one shuffle each, over ranges of the key space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

__all__ = ["Round", "Shuffled", "SketchStore", "no_verdicts"]


class SketchStore(Protocol):
    """What one task of a round sees: all rows whose key falls into one range of the key space, in sorted runs."""

    def tables(self) -> Iterator[pa.Table]:
        """Runs in key order. In the first round one a shard: the sketch columns plus `shard` and `row` (int32)."""
        ...

    def facts(self, nodes: np.ndarray[Any, Any], columns: Sequence[str] | None = None) -> pa.Table:
        """What the stage's `facts` said of records. `nodes`: distinct uint64, `shard << 32 | row`; rows in their order."""
        ...

    def texts(self, nodes: np.ndarray[Any, Any]) -> list[str]:
        """The texts of records, as they stood when they were sketched."""
        ...

    def shared(self) -> Iterator[pa.Table]:
        """What broadcast rounds before this one gave, one table a round."""
        ...


@dataclass(frozen=True)
class Shuffled:
    """What one task of a round gives.

    rows: for the next round, with `key: uint64`; of the last round verdicts, with `shard` and `row`.
    changed: in a repeated round, whether another repetition is needed.
    notes: small facts for the report, anything that JSON can hold.
    """

    rows: pa.Table
    changed: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)


def no_verdicts(store: SketchStore) -> Shuffled:
    """The last round of a stage whose `applier` needs nothing but the tables of its broadcast rounds."""
    return Shuffled(pa.table({"shard": pa.array([], pa.int32()), "row": pa.array([], pa.int32())}))


@dataclass(frozen=True)
class Round:
    """One shuffle of a global stage: `step` is called for each range of keys, on any machine.

    repeat: run again on its own output until no task reports a change. broadcast: one task that sees
    all keys; its rows are not passed on but `shared` with all rounds behind it and with `apply`.
    """

    name: str
    step: Callable[[SketchStore], Shuffled]
    repeat: bool = False
    broadcast: bool = False
