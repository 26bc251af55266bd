"""What a stage can do, asked in one place, and all rounds of a global stage over one store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raylib.stage.outcome import Outcome
from raylib.stage.protocols import Applier, GlobalStage, LocalStage, Notes, StageHooks
from raylib.stage.rounds import Round, SketchStore, single_round
from raylib.stage.section import Section

__all__ = ["AnyStage", "adapted", "is_model_based", "resolve_in_memory", "rounds_of"]

AnyStage: TypeAlias = LocalStage | GlobalStage


def adapted(stage: object) -> AnyStage:
    """A stage with every hook of the contract.

    Args:
        stage: An object that derives from `LocalStage` or `GlobalStage` (returned as it is), any callable on a table,
            or an object with `sketch` and either `rounds` or `resolve`.

    Returns:
        The stage itself if it derives from the contract, else an adapter around it.

    Raises:
        TypeError: if the object is none of these.
    """
    if isinstance(stage, StageHooks):
        if isinstance(stage, (LocalStage, GlobalStage)):
            return stage
    elif isinstance(stage, GlobalStage):
        return _ForeignGlobal(stage)
    elif callable(stage):
        return _ForeignLocal(stage)
    raise TypeError(
        f"{stage!r} is not a stage: it is not callable and has no method `sketch` with `rounds` or `resolve`"
    )


Answer = TypeVar("Answer")
_NO_IDENTITY: object = None


class _SingleShuffle(Protocol):
    """A global stage with one shuffle, as other packages may write it."""

    def resolve(self, store: SketchStore) -> pa.Table:
        """Verdicts of a key range."""
        ...

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        """What becomes of a table."""
        ...


@dataclass(frozen=True)
class _Foreign(StageHooks):
    """Hooks of an object that does not derive from the contract: those that it has under the same name."""

    stage: object

    @property
    def model_based(self) -> bool:
        return bool(getattr(self.stage, "model_based", False))

    def check(self) -> None:
        self._call("check", None)

    def probes(self) -> Mapping[str, Callable[[], None]]:
        nothing: Mapping[str, Callable[[], None]] = {}
        return self._call("probes", nothing)

    def setup(self) -> None:
        self._call("setup", None)

    def identity(self) -> object:
        return self._call("identity", _NO_IDENTITY)

    def incidental(self) -> frozenset[str]:
        nothing: frozenset[str] = frozenset()
        return self._call("incidental", nothing)

    def notes(self) -> Mapping[str, float] | None:
        found: Mapping[str, float] | None = self._call("notes", None)
        return found

    def _call(self, name: str, default: Answer) -> Answer:
        hook: Callable[[], Answer] | None = getattr(self.stage, name, None)
        return default if hook is None else hook()


@dataclass(frozen=True)
class _ForeignLocal(_Foreign, LocalStage):
    stage: Callable[[pa.Table], Outcome]

    def __call__(self, table: pa.Table) -> Outcome:
        return self.stage(table)


@dataclass(frozen=True)
class _ForeignGlobal(_Foreign, GlobalStage):
    """A global stage by its methods: `rounds` or a single `resolve`, `applier` or a single `apply`."""

    stage: GlobalStage

    def sketch(self, table: pa.Table) -> pa.Table:
        return self.stage.sketch(table)

    def sketch_with_facts(self, table: pa.Table) -> tuple[pa.Table, pa.Table | None]:
        both = getattr(self.stage, "sketch_with_facts", None)
        if both is not None:
            sketches, facts = both(table)
            return sketches, facts
        facts = getattr(self.stage, "facts", None)
        return self.stage.sketch(table), None if facts is None else facts(table)

    def rounds(self) -> tuple[Round, ...]:
        rounds: Callable[[], Sequence[Round]] | None = getattr(self.stage, "rounds", None)
        return tuple(rounds()) if rounds is not None else single_round(cast(_SingleShuffle, self.stage).resolve)

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        applier: Callable[[Sequence[pa.Table]], Applier] | None = getattr(self.stage, "applier", None)
        return applier(shared) if applier is not None else cast(_SingleShuffle, self.stage).apply

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section | None:
        section = getattr(self.stage, "section", None)
        made: Section | None = None if section is None else section(notes, store)
        return made


def rounds_of(stage: object) -> tuple[Round, ...]:
    """The rounds of a global stage; a stage that only has `resolve` has that one.

    Args:
        stage: A stage, or an object that `adapted` takes for one.

    Returns:
        The rounds, in order.

    Raises:
        TypeError: if it is not a global stage.
    """
    found = adapted(stage)
    if not isinstance(found, GlobalStage):
        raise TypeError(f"{stage!r} is not a global stage")
    return found.rounds()


def is_model_based(stage: object) -> bool:
    """Whether a stage loads a model; see `StageHooks.model_based`.

    Args:
        stage: A stage, or an object that `adapted` takes for one.

    Returns:
        True if the stage loads a model or asks one.
    """
    return adapted(stage).model_based


def resolve_in_memory(stage: object, store: SketchStore) -> pa.Table:
    """Run all rounds of a stage over one store that holds everything, as the engine does over files.

    Args:
        stage: A global stage, or an object that `adapted` takes for one.
        store: Sketches, facts and texts of all records.

    Returns:
        The verdicts: `shard`, `row` and the stage's own columns.
    """
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
    """A store over the tables of the round before."""

    base: SketchStore
    held: list[pa.Table]
    broadcast: list[pa.Table] = field(default_factory=list)

    def tables(self) -> Iterator[pa.Table]:
        yield from self.held

    def shared(self) -> Iterator[pa.Table]:
        yield from self.broadcast

    def facts(self, nodes: npt.NDArray[np.uint64], columns: Sequence[str] | None = None) -> pa.Table:
        return self.base.facts(nodes, columns)

    def texts(self, nodes: npt.NDArray[np.uint64]) -> list[str]:
        return self.base.texts(nodes)
