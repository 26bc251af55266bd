"""The two stage protocols, what a stage returns, and the registry of recipe names.

A stage is configuration (a frozen dataclass) plus a pure function over Arrow tables. It knows
nothing of Ray, files or other stages. Packages that define stages register them here when they
are imported; recipes find them by name.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

__all__ = [
    "GlobalStage",
    "LocalStage",
    "Outcome",
    "Round",
    "Shuffled",
    "SketchStore",
    "StageError",
    "StageInfo",
    "nearest",
    "no_verdicts",
    "register",
    "rounds_of",
    "split_rejected",
    "stage_info",
    "stage_names",
]

REJECT_COLUMNS = ("stage", "reason", "detail")


class StageError(ValueError):
    """A stage cannot work with these columns, whatever the records hold: the run stops at once, nothing is tried again."""


@dataclass(frozen=True)
class Outcome:
    """What a stage did to a table.

    `kept` has the surviving rows in their old order, text perhaps rewritten, columns perhaps
    added. `rejected` has the other rows as they came in, plus `stage`, `reason` and `detail`.
    """

    kept: pa.Table
    rejected: pa.Table
    added: int = 0  # rows of `kept` that are copies of others, as up-sampling makes them


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


def rounds_of(stage: GlobalStage) -> tuple[Round, ...]:
    """The rounds of a global stage; those that only have `resolve` have this one."""
    if hasattr(stage, "rounds"):
        return tuple(stage.rounds())
    return (Round("resolve", lambda store: Shuffled(stage.resolve(store))),)


@dataclass(frozen=True)
class StageInfo:
    """A registry entry: everything that the recipe validator and the rule reference need."""

    name: str
    make: type[Any]
    kind: str
    summary: str
    reason: str = ""
    unit: str = ""
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameter names and defaults in declaration order."""
        if not is_dataclass(self.make):
            return {}
        return {f.name: f.default for f in fields(self.make) if f.init}


_REGISTRY: dict[str, StageInfo] = {}
_BUILTIN = ("cleaning", "dedup", "quality")
_state = {"loaded": False}


def register(info: StageInfo) -> None:
    """Make a stage known by its recipe name. Registering another class under a taken name is an error."""
    other = _REGISTRY.get(info.name)
    if other is not None and other.make.__qualname__ != info.make.__qualname__:
        raise ValueError(f"stage name {info.name!r} is already taken by {other.make.__qualname__}")
    _REGISTRY[info.name] = info


def _load() -> None:
    if _state["loaded"]:
        return
    _state["loaded"] = True
    for package in _BUILTIN:
        importlib.import_module(package)
    for entry in importlib.metadata.entry_points(group="raylib.stages"):
        entry.load()


def stage_names() -> list[str]:
    """All registered stage names, sorted."""
    _load()
    return sorted(_REGISTRY)


def stage_info(name: str) -> StageInfo:
    """The registry entry of `name`. Raises KeyError with the nearest valid name."""
    _load()
    if name not in _REGISTRY:
        raise KeyError(f"unknown stage {name!r}{nearest(name, _REGISTRY)}")
    return _REGISTRY[name]


def nearest(name: str, valid: Any) -> str:
    """`; did you mean 'x'?` for the closest valid name, or the whole list when none is close."""
    names = [str(v) for v in valid]
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.55)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid: {', '.join(sorted(names))}" if names else ""


def split_rejected(
    table: pa.Table, rejected: pa.Array, *, stage: str, reason: str, detail: pa.Array | None = None
) -> Outcome:
    """Split `table` by the boolean array `rejected`; `detail` (aligned with the table) explains each row."""
    import pyarrow.compute as pc

    out = table.filter(rejected)
    details = detail.filter(rejected) if detail is not None else pa.nulls(len(out), pa.large_string())
    return Outcome(
        kept=table.filter(pc.invert(rejected)),
        rejected=mark_rejected(out, stage=stage, reason=reason, detail=details),
    )


def mark_rejected(table: pa.Table, *, stage: str, reason: str, detail: pa.Array) -> pa.Table:
    """Append the three reject columns to a table whose rows are all rejected."""
    n = len(table)
    columns = (
        pa.repeat(pa.scalar(stage, pa.string()), n),
        pa.repeat(pa.scalar(reason, pa.string()), n),
        detail.cast(pa.large_string()),
    )
    for name, column in zip(REJECT_COLUMNS, columns, strict=True):
        table = table.append_column(name, column)
    return table


def keep_all(table: pa.Table) -> Outcome:
    """An outcome that rejects nothing."""
    return Outcome(table, table.slice(0, 0))


Kernel = Callable[..., Any]


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


def tables_of(path: str, kind: str = "auto") -> Iterator[pa.Table]:
    """Tables of the readable records of a file, for stages that compare with a set of their own.

    Raises SourceError when nothing matches the path.
    """
    from raylib.layouts import guess_kind
    from raylib.parsing import first_record, parse
    from raylib.readers import ReadOptions, blocks_of
    from raylib.sources import Piece, find_files

    for file in find_files(path)[0]:
        for block in blocks_of(Piece(file), ReadOptions()):
            if kind == "auto":
                record = first_record(block)
                kind = guess_kind(record) if record is not None else "document"
            for parsed in parse(block, kind):
                yield parsed.table
