"""The rounds of a global stage: one shuffle each, over ranges of the key space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Round", "Shuffled", "SketchStore", "no_verdicts", "single_round"]


class SketchStore(Protocol):
    """The input of one task of a round: all rows whose key falls into one range of the key space, in sorted runs."""

    def tables(self) -> Iterator[pa.Table]:
        """Runs in key order. The first round has one for each shard: the sketch columns, `shard` and `row` (int32)."""
        ...

    def facts(self, nodes: npt.NDArray[np.uint64], columns: Sequence[str] | None = None) -> pa.Table:
        """The facts that the stage gave about records.

        Args:
            nodes: Distinct records, each `shard << 32 | row`, [N].
            columns: Columns to read; all of them by default.

        Returns:
            N rows, in the order of `nodes`.
        """
        ...

    def texts(self, nodes: npt.NDArray[np.uint64]) -> list[str]:
        """The texts of records as they were when they were sketched, in the order of `nodes`."""
        ...

    def shared(self) -> Iterator[pa.Table]:
        """Rows of the broadcast rounds before this one, one table for each round."""
        ...


@dataclass(frozen=True)
class Shuffled:
    """The result of one task of a round.

    Attributes:
        rows: Rows for the next round, with `key: uint64`; in the last round verdicts, with `shard` and `row` (int32).
        changed: Whether a repeated round needs another repetition.
        notes: Small facts for the report, anything that JSON can hold.
    """

    rows: pa.Table
    changed: bool = False
    notes: Mapping[str, object] = field(default_factory=dict)


def no_verdicts(store: SketchStore) -> Shuffled:
    """The last round of a stage whose `applier` needs nothing but the tables of its broadcast rounds.

    Args:
        store: Not read.

    Returns:
        An empty table of verdicts.
    """
    return Shuffled(pa.table({"shard": pa.array([], pa.int32()), "row": pa.array([], pa.int32())}))


@dataclass(frozen=True)
class Round:
    """One shuffle of a global stage.

    Attributes:
        name: Name of the round, for progress displays.
        step: Function that is called for each range of keys, on any machine.
        repeat: Whether the round runs again on its own output until no task reports a change.
        broadcast: Whether one task sees all keys. Later rounds and `applier` share its rows; they are not passed on.
    """

    name: str
    step: Callable[[SketchStore], Shuffled]
    repeat: bool = False
    broadcast: bool = False


def single_round(resolve: Callable[[SketchStore], pa.Table], name: str = "resolve") -> tuple[Round, ...]:
    """The rounds of a stage whose verdicts come from a single shuffle.

    Args:
        resolve: Function that returns the verdicts of a key range: `shard`, `row` and the stage's own columns.
        name: Name of the round, for progress displays.

    Returns:
        The only round.
    """
    return (Round(name, lambda store: Shuffled(resolve(store))),)
