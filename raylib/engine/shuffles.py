"""The rounds of global stages: shuffles by ranges of the key space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from raylib.engine.executor import Executor
from raylib.engine.fingerprints import digest
from raylib.engine.ledger import Ledger
from raylib.engine.planning import Plan
from raylib.engine.progress import Progress
from raylib.engine.tasks import ResolveTask
from raylib.errors import ShardError
from raylib.recipe import StageSpec
from raylib.stage import Notes, Round, rounds_of
from raylib.storage.entry import RoundEntry
from raylib.storage.names import Phase, ShardName

__all__ = ["KEY_SPACE", "Shuffle", "no_shuffle", "shuffle_after"]


KEY_SPACE = 1 << 64


@dataclass(frozen=True)
class Shuffle:
    """State of the rounds of one global stage.

    Attributes:
        segment: Number of the segment before the stage.
        shards: Its shards, in the order of their ordinals.
        key: Fingerprint of everything that determines `runs` and `shared`.
        bytes: Size in memory of the rows that the next round gets.
        runs: Files of the last round; before the first one nothing.
        shared: Files of broadcast rounds.
        notes: Notes of the tasks that gave any.
    """

    segment: int
    shards: tuple[ShardName, ...]
    key: str
    bytes: int
    runs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    notes: tuple[Notes, ...] = ()

    def after(self, this: Round, entries: Mapping[ShardName, RoundEntry]) -> Shuffle:
        """The state after a round.

        Args:
            this: The round.
            entries: Its tasks, in the order of their key ranges.
        """
        files = tuple(name for e in entries.values() for name in e.files)
        key = digest(self.key, [(str(s), e.key) for s, e in entries.items()])
        notes = (*self.notes, *(e.notes for e in entries.values() if e.notes))
        if this.broadcast:
            return replace(self, shared=self.shared + files, key=key, notes=notes)
        return replace(self, runs=files, bytes=sum(e.bytes for e in entries.values()), key=key, notes=notes)


def no_shuffle(segment: int) -> Shuffle:
    """The state between two segments without a global stage."""
    return Shuffle(segment, (), "", 0)


def shuffle_after(plan: Plan, ledger: Ledger, executor: Executor, progress: Progress, number: int) -> Shuffle:
    """Do all rounds of the global stage after a segment.

    Args:
        plan: The run.
        ledger: Finished tasks.
        executor: Does tasks.
        progress: Callbacks for rounds.
        number: Number of the segment.

    Returns:
        The state after the last round; without a global stage an empty one.

    Raises:
        ShardError: a task of a round failed; nothing of the stage can be decided without it.
    """
    spec = plan.job.segments[number].sketch
    if spec is None:
        return no_shuffle(number)
    shards = ledger.shards(number)
    shuffle = Shuffle(
        number,
        shards=tuple(sorted(shards, key=str)),
        key=digest(plan.chain[number], sorted((str(s), e.key) for s, e in shards.items())),
        bytes=sum(e.sketch_bytes for e in shards.values()),
    )
    for position, this in enumerate(rounds_of(spec.make())):
        runner = _RoundRunner(plan, ledger, executor, progress, spec, this, position)
        shuffle = runner.run(shuffle)
    return shuffle


@dataclass(frozen=True)
class _RoundRunner:
    """Does one round of a global stage, as often as it has to be repeated."""

    plan: Plan
    ledger: Ledger
    executor: Executor
    progress: Progress
    spec: StageSpec
    this: Round
    position: int

    def run(self, shuffle: Shuffle) -> Shuffle:
        """The state after the round."""
        repetition = 0
        while True:
            phase = Phase.round(shuffle.segment, self.position, repetition)
            self._run_once(shuffle, phase)
            entries = self.ledger.round(phase)
            shuffle = shuffle.after(self.this, entries)
            if self.this.broadcast or not (self.this.repeat and any(e.changed for e in entries.values())):
                return shuffle
            repetition += 1

    def _run_once(self, shuffle: Shuffle, phase: Phase) -> None:
        title = f"{self.spec.name}: {self.this.name}"
        parts = self._parts(shuffle.bytes)
        self.progress.phase(title, 0, parts)
        self.ledger.commit(phase, self.executor.run(self._tasks(shuffle, phase, parts)))
        broken = [f for f in self.ledger.failures if f.task.phase == phase]
        if broken:
            raise ShardError(f"{title}: {broken[0].error}; run again to continue")

    def _parts(self, size: int) -> int:
        """How many ranges the key space is cut into, so that the rows of one task fit the memory that is allowed.

        Small rounds are cut too, so that several workers share them; the cut never depends on how many there are.
        """
        if self.this.broadcast:
            return 1
        allowed = int(self.plan.recipe.engine.resolve_mb * (1 << 20) / 4)
        return max(-(-size // allowed), min(4, size // (1 << 20)), 1)

    def _tasks(self, shuffle: Shuffle, phase: Phase, parts: int) -> Iterator[ResolveTask]:
        for part in range(parts):
            shard, key = ShardName(part), digest(shuffle.key, self.position, parts, part)
            if self.ledger.resume(phase, shard, key):
                continue
            yield ResolveTask(
                segment=shuffle.segment,
                round=self.position,
                phase=phase,
                shard=shard,
                key=key,
                first=KEY_SPACE * part // parts,
                last=KEY_SPACE * (part + 1) // parts - 1,
                shards=shuffle.shards,
                runs=shuffle.runs,
                shared=shuffle.shared,
            )
