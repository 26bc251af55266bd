"""Live state of a run for `raylib ui`: progress, funnel, rejected records with search."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from raylib.errors import SourceError
from raylib.report.counts import Counts, add_counts
from raylib.report.rejects import RejectsPage, search_rejects
from raylib.report.statistics import StatisticsJson
from raylib.report.tail import Tail
from raylib.storage.entry import Entry, RunEnd, RunHeader, ShardEntry, StreamEntry
from raylib.storage.lines import read_line
from raylib.storage.manifest import manifest_parts
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store
from raylib.storage.summary import Summary

__all__ = ["RunState", "RunView", "is_inside"]


_STATISTICS_PER_LOOK = 100  # files; more would make the page wait

StageRow = TypedDict("StageRow", {"name": str, "in": int, "rejected": int, "changed": int, "seconds": float})


def is_inside(store: Store, name: str) -> bool:
    """Whether a file of a folder lies in it, and is no link to elsewhere.

    Args:
        store: The folder.
        name: Name of the file, which need not exist.
    """
    if not store.local:
        return ".." not in name.split("/")
    root = os.path.realpath(store.path("."))
    return os.path.realpath(store.path(name)).startswith(root + os.sep)


class PhaseRow(TypedDict):
    """A phase of a run and the number of its finished shards."""

    phase: str
    title: str
    shards: int


class RunState(TypedDict):
    """What the page shows of a run besides rejected records.

    Attributes:
        kind: `recipe`.
        status: `running` or `finished`.
        name: Name of the recipe once the run has finished, and of its folder before.
        started: When it began or continued, in seconds since 1970.
        now: The time of this state, in seconds since 1970.
        seconds: How long it took; None while it runs.
        records_in: Records read so far.
        records_kept: Records kept so far.
        records_rejected: Records rejected so far.
        bytes_done: Bytes of the input that were read.
        bytes_total: Bytes of the input.
        phases: Phases that have begun; empty for a finished run.
        left_to_count: Number of shards that are finished but not yet in `stages` and `reasons`.
        quarantined: Shards that were left out, each with its error.
        stages: The funnel.
        reasons: Rejects by `stage/reason`, most frequent first.
    """

    kind: str
    status: str
    name: str
    started: float | None
    now: float
    seconds: float | None
    records_in: int
    records_kept: int
    records_rejected: int
    bytes_done: int
    bytes_total: int | None
    phases: list[PhaseRow]
    left_to_count: int
    quarantined: list[str]
    stages: list[StageRow]
    reasons: list[tuple[str, int]]


@dataclass
class _Progress:
    """What was read of a run so far."""

    header: RunHeader | None = None
    entries: dict[tuple[Phase, ShardName], Entry] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    seconds: dict[str, float] = field(default_factory=dict)
    counted: set[tuple[Phase, ShardName, str]] = field(default_factory=set)

    @property
    def shards(self) -> list[ShardEntry]:
        """Finished shards of all segments."""
        return [entry for entry in self.entries.values() if isinstance(entry, ShardEntry)]

    @property
    def segments(self) -> Sequence[str]:
        """Labels of the segments."""
        return self.header.segments if self.header else ()

    @property
    def last_segment(self) -> Phase:
        """The segment that writes kept records, or of what has begun the last one."""
        if self.segments:
            return Phase.segment(len(self.segments) - 1)
        return Phase.segment(max((entry.phase.number for entry in self.shards), default=0))

    def uncounted(self) -> Iterator[ShardEntry]:
        """Shards whose statistics were not added yet."""
        return (entry for entry in self.shards if (entry.phase, entry.shard, entry.key) not in self.counted)


class RunView:
    """Incrementally read state of a run's output folder.

    Attributes:
        store: The folder.
    """

    def __init__(self, root: str) -> None:
        """Open a folder.

        Args:
            root: The folder, or its URI.

        Raises:
            SourceError: it is not the folder of a run.
        """
        self.store = Store(root)
        if not manifest_parts(self.store):
            raise SourceError(f"{root} is not the output folder of a run: it has no {RunFiles.MANIFEST}")
        self._tail = Tail(self.store)
        self._progress = _Progress()

    def state(self) -> RunState:
        """Everything that the page shows besides records. Reads only what was added since the last call."""
        self._follow()
        if self.store.exists(RunFiles.SUMMARY):
            summary = Summary.read(self.store)
            if summary.fingerprint and not self._began_after_summary():
                return self._finished(summary)
        return self._running()

    def rejects(self, query: str = "", key: str = "", cursor: str = "", limit: int = 50) -> RejectsPage:
        """Search in the rejected records of the shards that are finished; see `search_rejects`."""
        self._follow()
        files = {name for entry in self._progress.shards for name in entry.files if RunFiles.is_rejected(name)}
        inside = sorted(name for name in files if is_inside(self.store, name))
        return search_rejects(self.store, inside, query, key, cursor, limit)

    def _follow(self) -> None:
        """Read the new lines of the manifest."""
        parts = manifest_parts(self.store)
        if self._tail.has_restarted(parts):
            self._tail, self._progress = Tail(self.store), _Progress()
        for name in parts:
            for line in self._tail.lines(name):
                entry = read_line(line)
                if isinstance(entry, RunHeader):
                    self._progress = _Progress(entry, self._progress.entries)  # shards of another recipe do not count
                elif entry is not None and not isinstance(entry, RunEnd):
                    self._progress.entries[entry.phase, entry.shard] = entry

    def _began_after_summary(self) -> bool:
        """Whether the run began after the summary was written; false where the storage does not record times."""
        header, written = self._progress.header, self.store.modified(RunFiles.SUMMARY)
        return header is not None and written is not None and header.started > written

    def _count_new(self) -> int:
        """Add the statistics of newly finished shards; returns how many are left for the next call."""
        progress = self._progress
        missing = list(progress.uncounted())
        for entry in missing[:_STATISTICS_PER_LOOK]:
            name = RunFiles.stats(entry.phase, entry.shard)
            if name in entry.files:
                try:
                    part = self.store.read_json(name, StatisticsJson)
                except (OSError, SourceError):
                    continue
                add_counts(progress.counts, {k: part["counts"].get(k, {}) for k in ("stages", "reasons")})
                add_counts(progress.seconds, part["seconds"])
            progress.counted.add((entry.phase, entry.shard, entry.key))
        return max(0, len(missing) - _STATISTICS_PER_LOOK)

    def _running(self) -> RunState:
        left = self._count_new()
        progress = self._progress
        first = [entry for entry in progress.shards if entry.phase.is_first]
        consumed: dict[int, int] = {}  # by unit: blocks of a large file count its bytes from the beginning
        for entry in first:
            unit = entry.shard.unit
            consumed[unit] = max(consumed.get(unit, 0), entry.consumed)
        last = progress.last_segment
        return {
            "kind": "recipe",
            "status": "running",
            "name": self.store.root.rstrip("/").rsplit("/", 1)[-1],
            "started": progress.header.started if progress.header else None,
            "now": time.time(),
            "seconds": None,
            "records_in": sum(entry.records_in for entry in first),
            "records_kept": sum(entry.records_out for entry in progress.shards if entry.phase == last),
            "records_rejected": sum(entry.records_rejected for entry in progress.shards),
            "bytes_done": sum(consumed.values()),
            "bytes_total": progress.header.bytes if progress.header else None,
            "phases": self._phases(),
            "left_to_count": left,
            "quarantined": [],
            "stages": [
                _stage_row(name, counts, round(progress.seconds.get(name, 0.0), 2))
                for name, counts in progress.counts.get("stages", {}).items()
            ],
            "reasons": sorted(progress.counts.get("reasons", {}).items(), key=lambda kv: (-kv[1], kv[0])),
        }

    def _phases(self) -> list[PhaseRow]:
        """Phases in the order in which they began."""
        entries = self._progress.entries.values()
        shards = Counter(entry.phase for entry in entries if not isinstance(entry, StreamEntry))
        titles = self._progress.segments
        return [{"phase": str(p), "title": _title(p, titles), "shards": n} for p, n in shards.items()]

    def _finished(self, summary: Summary) -> RunState:
        header = self._progress.header
        return {
            "kind": "recipe",
            "status": "finished",
            "name": summary.name,
            "started": header.started if header else None,
            "now": time.time(),
            "seconds": summary.seconds,
            "records_in": summary.records_in,
            "records_kept": summary.records_kept,
            "records_rejected": summary.records_rejected,
            "bytes_done": summary.bytes_in,
            "bytes_total": summary.bytes_in,
            "phases": [],
            "left_to_count": 0,
            "quarantined": [f"{q.shard}: {q.error.splitlines()[-1][:300]}" for q in summary.quarantined],
            "stages": [
                {
                    "name": name,
                    "in": totals.records_in,
                    "rejected": totals.rejected,
                    "changed": totals.changed,
                    "seconds": totals.seconds,
                }
                for name, totals in summary.by_stage.items()
            ],
            "reasons": list(summary.by_reason.items()),
        }


def _stage_row(name: str, counts: dict[str, int], seconds: float) -> StageRow:
    return {
        "name": name,
        "in": counts["in"],
        "rejected": counts["rejected"],
        "changed": counts["changed"],
        "seconds": seconds,
    }


def _title(phase: Phase, segments: Sequence[str]) -> str:
    """A phase in words: of a segment its stages, of a round the segment before it."""
    place = segments[phase.number] if phase.number < len(segments) else str(phase)
    return place if phase.is_segment else f"rounds after {place}"
