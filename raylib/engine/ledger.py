"""The ledger of a run: finished tasks of this run and of earlier ones, failed tasks, and progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from raylib.cluster.metrics import RunMetrics
from raylib.engine.executor import Result
from raylib.engine.faults import Failure, end_of_run
from raylib.engine.progress import Progress
from raylib.engine.tasks import Task
from raylib.locking import Lock
from raylib.recipe import Recipe
from raylib.storage.entry import RoundEntry, RunEnd, RunHeader, ShardEntry, StreamEntry
from raylib.storage.manifest import Manifest
from raylib.storage.names import STREAM, Phase, ShardName
from raylib.storage.store import Store

__all__ = ["Ledger"]

logger = logging.getLogger(__name__)


class Ledger:
    """Finished tasks of a run, in memory and in the manifest.

    Args:
        store: Folder of the run.
        recipe: What the run does.
        progress: Callbacks for finished tasks.
        lock: Lock of the folder, without which nothing may be committed.
        metrics: Counts what is quarantined.

    Attributes:
        failures: Tasks whose shards were quarantined.
        seconds: Seconds by phase, in the order in which phases ended.
        bytes_before: Raw bytes of the input that earlier runs processed.
    """

    def __init__(self, store: Store, recipe: Recipe, progress: Progress, lock: Lock, metrics: RunMetrics) -> None:
        self.failures: list[Failure] = []
        self.seconds: dict[Phase, float] = {}
        self.bytes_before = 0
        given = recipe.engine.check_content
        self._manifest = Manifest(store, checks_content=store.local if given is None else given)
        self._output, self._progress, self._lock, self._metrics = recipe.output.path, progress, lock, metrics
        self._shards: dict[Phase, dict[ShardName, ShardEntry]] = {}
        self._rounds: dict[Phase, dict[ShardName, RoundEntry]] = {}
        self._consumed: dict[int, int] = {}  # bytes of each unit that are done

    @property
    def earlier(self) -> RunHeader | None:
        """Header of the run that the folder holds; an empty one if it was lost, None if no task was committed."""
        lost = RunHeader("", 0.0, {}, 0, ())
        return (self._manifest.header or lost) if self._manifest.entries else None

    @property
    def bytes_there(self) -> int:
        """Size of all files that earlier runs left in the folder."""
        return sum(sum(entry.files.values()) for entry in self._manifest.entries.values())

    def check_lock(self) -> None:
        """Check that the folder is still ours, before something in it is deleted or replaced.

        Raises:
            LockedError: another process has taken the folder over.
        """
        self._lock.check()

    def start(self, header: RunHeader) -> None:
        """Note that the run, or its continuation, begins."""
        self.check_lock()
        self._manifest.append(header)

    def finish(self, end: RunEnd) -> None:
        """Note that the run has ended, and what it wrote at the end."""
        self.check_lock()
        used = {(phase, shard) for phase, shards in self._shards.items() for shard in shards}
        used |= {(phase, shard) for phase, ranges in self._rounds.items() for shard in ranges}
        unused = sorted(f"{p}/{s}" for p, s in self._manifest.entries if p.kind != "stream" and (p, s) not in used)
        self._manifest.append(replace(end, unused=tuple(unused)))

    def shards(self, number: int) -> Mapping[ShardName, ShardEntry]:
        """Finished shards of a segment."""
        return self._shards.get(Phase.segment(number), {})

    def round(self, phase: Phase) -> Mapping[ShardName, RoundEntry]:
        """Finished tasks of a round, in the order of their key ranges."""
        return dict(sorted(self._rounds.get(phase, {}).items()))

    def round_seconds(self, number: int) -> float:
        """Time spent in all rounds after a segment, over all workers."""
        return sum(e.seconds for p, entries in self._rounds.items() if p.number == number for e in entries.values())

    def files(self) -> set[str]:
        """Names of all files that finished tasks left."""
        return {
            name
            for phases in (self._shards, self._rounds)
            for p in phases.values()
            for e in p.values()
            for name in e.files
        }

    def resume(self, phase: Phase, shard: ShardName, key: str) -> bool:
        """Take over a task that an earlier run finished.

        Args:
            phase: Where the task belongs.
            shard: The shard it works on.
            key: Fingerprint of everything that determines its files.

        Returns:
            Whether there was one with this fingerprint, and all its files.
        """
        entry = self._manifest.find(phase, shard, key)
        if not isinstance(entry, ShardEntry | RoundEntry):
            return False
        self._add(entry, resumed=True)
        return True

    def commit(self, phase: Phase, results: Iterable[tuple[Task, Result]]) -> None:
        """Take the results of a phase as they come.

        Args:
            phase: The phase.
            results: Tasks with their results.

        Raises:
            RaylibError: a task failed in a way that all others would.
            LockedError: another process has taken the folder over.
        """
        begun = time.perf_counter()
        for task, result in results:
            self.check_lock()
            if isinstance(result, Failure):
                self._quarantine(task, result)
            else:
                self._manifest.append(result)
                self._add(result, resumed=False)
        self.seconds[phase] = round(time.perf_counter() - begun, 3)

    def _quarantine(self, task: Task, failure: Failure) -> None:
        end = end_of_run(failure.fault, self._output)
        if end is not None:
            raise end
        self.failures.append(failure)
        self._metrics.quarantined(task.phase)
        logger.error("%s: quarantined after %d attempts: %s", failure.place, failure.attempts, failure.error)
        self._progress.message(f"shard {task.shard} quarantined: {failure.error}")

    def _add(self, entry: ShardEntry | RoundEntry, *, resumed: bool) -> None:
        done_bytes = 0
        if isinstance(entry, ShardEntry):
            self._shards.setdefault(entry.phase, {})[entry.shard] = entry
            if entry.phase.is_first:
                unit = entry.shard.unit
                self._consumed[unit] = max(self._consumed.get(unit, 0), entry.consumed)
                done_bytes = sum(self._consumed.values())
                self.bytes_before += entry.bytes_in if resumed else 0
        else:
            self._rounds.setdefault(entry.phase, {})[entry.shard] = entry
        self._progress.advance(entry, done_bytes, resumed=resumed)

    def stream(self, unit: int, key: str) -> StreamEntry | None:
        """The entry of a large file that an earlier run read to its end."""
        entry = self._manifest.find(STREAM, ShardName(unit), key)
        return entry if isinstance(entry, StreamEntry) else None

    def finish_stream(self, unit: int, key: str, blocks: int) -> None:
        """Note that a large file was read to its end."""
        self.check_lock()
        self._manifest.append(StreamEntry(ShardName(unit), key, blocks))

    def knows(self, shard: ShardName) -> bool:
        """Whether an earlier run did this shard of the input, whatever the recipe was then."""
        return (Phase.segment(0), shard) in self._manifest.entries

    def known_blocks(self, unit: int) -> Iterator[int]:
        """Blocks of a large file that an earlier run did, whatever the recipe was then."""
        for phase, shard in list(self._manifest.entries):
            if phase.is_first and shard.unit == unit and shard.block is not None:
                yield shard.block
