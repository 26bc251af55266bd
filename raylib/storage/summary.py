"""The summary of a run as a dataclass. `summary.json` is written and read here alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from raylib.reading.found import UNKNOWN
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

__all__ = ["Quarantined", "StageTotals", "Summary"]


_StageAlways = TypedDict(
    "_StageAlways", {"in": int, "rejected": int, "changed": int, "characters_in": int, "characters_out": int}
)


class _StageJson(_StageAlways, total=False):
    """A value of `by_stage`; `seconds` are not there where shards count it."""

    seconds: float


@dataclass(frozen=True)
class StageTotals:
    """What a stage did in a run.

    Attributes:
        records_in: Records that it was given.
        rejected: Records that it rejected.
        changed: Records whose text it rewrote.
        characters_in: Characters of the records that it was given.
        characters_out: Characters of the records that it passed on.
        seconds: Time spent in it, over all workers and including its shuffles.
    """

    records_in: int
    rejected: int
    changed: int
    characters_in: int
    characters_out: int
    seconds: float

    def to_json(self) -> dict[str, int | float]:
        """The value of `by_stage` for this stage."""
        return {
            "in": self.records_in,
            "rejected": self.rejected,
            "changed": self.changed,
            "characters_in": self.characters_in,
            "characters_out": self.characters_out,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StageTotals:
        """Read what `to_json` wrote; without `seconds`, as shards count it, the time is 0."""
        return cls(
            records_in=int(data["in"]),
            rejected=int(data["rejected"]),
            changed=int(data["changed"]),
            characters_in=int(data["characters_in"]),
            characters_out=int(data["characters_out"]),
            seconds=data.get("seconds", 0.0),
        )


class _QuarantinedAlways(TypedDict):
    """What every version wrote of an item of `quarantined`."""

    shard: str
    phase: str
    error: str
    attempts: int


class _QuarantinedJson(_QuarantinedAlways, total=False):
    """Keys of an item of `quarantined`."""

    input: Sequence[str]


@dataclass(frozen=True)
class Quarantined:
    """A shard that kept failing and was left out.

    Attributes:
        shard: Its name.
        phase: Where it failed.
        error: The last error.
        attempts: Number of attempts.
        input: Paths of the first ten files that it holds records of.
    """

    shard: str
    phase: str
    error: str
    attempts: int
    input: Sequence[str] = ()

    def to_json(self) -> dict[str, object]:
        """An item of `quarantined`."""
        return {
            "shard": self.shard,
            "phase": self.phase,
            "error": self.error,
            "attempts": self.attempts,
            "input": list(self.input),
        }

    @classmethod
    def from_json(cls, data: _QuarantinedJson) -> Quarantined:
        """Read what `to_json` wrote."""
        return cls(data["shard"], data["phase"], data["error"], data["attempts"], data.get("input", ()))


class _SkippedJson(TypedDict):
    """A value of `skipped`."""

    count: int
    first: Sequence[str]


class _SummaryAlways(TypedDict):
    """What every version wrote into `summary.json`."""

    name: str
    kind: str
    records_in: int
    records_kept: int
    records_rejected: int
    bytes_in: int
    seconds: float
    by_stage: Mapping[str, _StageJson]
    by_reason: Mapping[str, int]
    by_source: Mapping[str, Mapping[str, int]]
    histogram_in: Sequence[int]
    histogram_kept: Sequence[int]


class _SummaryJson(_SummaryAlways, total=False):
    """Keys of `summary.json`."""

    fingerprint: str
    characters_in: int
    characters_kept: int
    tokens_kept: int
    records_added: int
    columns: Mapping[str, Mapping[str, Mapping[str, int]]]
    notes: Mapping[str, Mapping[str, float]]
    splits: Mapping[str, Mapping[str, object]]
    seconds_start: float
    mb_while_starting: float
    phases: Mapping[str, float]
    mb_per_second: float
    shards: int
    quarantined: Sequence[_QuarantinedJson]
    skipped_files: Sequence[str]
    skipped_file_count: int
    skipped: Mapping[str, _SkippedJson]
    engine: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Summary:
    """The numbers of a finished run.

    Attributes:
        name: Name of the recipe.
        kind: Kind of the records.
        fingerprint: Fingerprint of recipe and input.
        records_in: Records read.
        records_kept: Records kept.
        records_rejected: Records rejected, in all segments.
        characters_in: Characters of the records read.
        characters_kept: Characters of the records kept.
        tokens_kept: Tokens of the records kept; None without a tokenizer.
        records_added: Copies that up-sampling added.
        columns: How often each value of a column occurs, by column, then `scored` or `kept`.
        notes: Counters of stages (tokens, seconds, requests, cost), by stage.
        splits: Counts of each folder of kept records; None when they are not split.
        bytes_in: Raw bytes of the input, decompressed.
        seconds: Time from the start to the report.
        seconds_start: Time until all workers were there.
        mb_while_starting: Megabytes of input that were processed in the meantime.
        phases: Seconds by phase.
        mb_per_second: Speed once all workers were there; what an earlier run had read does not count.
        by_stage: Totals of each stage, in the order of the recipe.
        by_reason: Rejects by `stage/reason`, most frequent first.
        by_source: Counts by source, in the order of their names; those of all but the thousand largest are summed
            as `(other sources)`.
        histogram_in: Records read by class of length.
        histogram_kept: Records kept by class of length.
        shards: Number of shards of the first segment.
        quarantined: Shards that were left out.
        skipped_files: First hundred files and folders that were passed over; a folder ends with `/`.
        skipped_file_count: Number of all of them.
        skipped: Number and first paths of what was passed over, by reason.
        engine: `ray` or `inline`.
        versions: Versions of raylib, Python and the main libraries.
    """

    name: str
    kind: str
    fingerprint: str
    records_in: int
    records_kept: int
    records_rejected: int
    characters_in: int
    characters_kept: int
    tokens_kept: int | None
    records_added: int
    columns: Mapping[str, Mapping[str, Mapping[str, int]]]
    notes: Mapping[str, Mapping[str, float]]
    splits: Mapping[str, Mapping[str, object]] | None
    bytes_in: int
    seconds: float
    seconds_start: float
    mb_while_starting: float
    phases: Mapping[str, float]
    mb_per_second: float
    by_stage: Mapping[str, StageTotals]
    by_reason: Mapping[str, int]
    by_source: Mapping[str, Mapping[str, int]]
    histogram_in: Sequence[int]
    histogram_kept: Sequence[int]
    shards: int
    quarantined: Sequence[Quarantined]
    skipped_files: Sequence[str]
    skipped_file_count: int
    engine: str
    versions: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, tuple[int, Sequence[str]]] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The content of `summary.json`; `tokens_kept` and `splits` are there where the run has them."""
        return {
            "name": self.name,
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "records_in": self.records_in,
            "records_kept": self.records_kept,
            "records_rejected": self.records_rejected,
            "characters_in": self.characters_in,
            "characters_kept": self.characters_kept,
            **({} if self.tokens_kept is None else {"tokens_kept": self.tokens_kept}),
            "records_added": self.records_added,
            "columns": self.columns,
            "notes": self.notes,
            **({} if self.splits is None else {"splits": self.splits}),
            "bytes_in": self.bytes_in,
            "seconds": self.seconds,
            "seconds_start": self.seconds_start,
            "mb_while_starting": self.mb_while_starting,
            "phases": self.phases,
            "mb_per_second": self.mb_per_second,
            "by_stage": {name: totals.to_json() for name, totals in self.by_stage.items()},
            "by_reason": self.by_reason,
            "by_source": self.by_source,
            "histogram_in": self.histogram_in,
            "histogram_kept": self.histogram_kept,
            "shards": self.shards,
            "quarantined": [item.to_json() for item in self.quarantined],
            "skipped_files": self.skipped_files,
            "skipped_file_count": self.skipped_file_count,
            "skipped": {why: {"count": count, "first": list(paths)} for why, (count, paths) in self.skipped.items()},
            "engine": self.engine,
            "versions": self.versions,
        }

    @classmethod
    def read(cls, store: Store) -> Summary:
        """Read the summary of a run, also of an older version.

        Args:
            store: Folder of the run.

        Raises:
            SourceError: its `summary.json` holds something else.
        """
        return cls._from_json(store.read_json(RunFiles.SUMMARY, _SummaryJson))

    @classmethod
    def _from_json(cls, read: _SummaryJson) -> Summary:
        return cls(
            name=read["name"],
            kind=read["kind"],
            fingerprint=read.get("fingerprint", ""),
            records_in=read["records_in"],
            records_kept=read["records_kept"],
            records_rejected=read["records_rejected"],
            characters_in=read.get("characters_in", 0),
            characters_kept=read.get("characters_kept", 0),
            tokens_kept=read.get("tokens_kept"),
            records_added=read.get("records_added", 0),
            columns=read.get("columns", {}),
            notes=read.get("notes", {}),
            splits=read.get("splits"),
            bytes_in=read["bytes_in"],
            seconds=read["seconds"],
            seconds_start=read.get("seconds_start", 0.0),
            mb_while_starting=read.get("mb_while_starting", 0.0),
            phases=read.get("phases", {}),
            mb_per_second=read.get("mb_per_second", 0.0),
            by_stage={name: StageTotals.from_json(counts) for name, counts in read["by_stage"].items()},
            by_reason=read["by_reason"],
            by_source=read["by_source"],
            histogram_in=read["histogram_in"],
            histogram_kept=read["histogram_kept"],
            shards=read.get("shards", 0),
            quarantined=[Quarantined.from_json(item) for item in read.get("quarantined", [])],
            skipped_files=read.get("skipped_files", []),
            skipped_file_count=read.get("skipped_file_count", 0),
            engine=read.get("engine", ""),
            versions=read.get("versions", {}),
            skipped=_skipped(read),
        )


def _skipped(read: _SummaryJson) -> dict[str, tuple[int, Sequence[str]]]:
    """What was passed over, by reason; an older version passed over files with unknown extensions alone."""
    if "skipped" not in read and read.get("skipped_files"):
        return {UNKNOWN: (read.get("skipped_file_count", 0), read["skipped_files"])}
    return {why: (part["count"], part["first"]) for why, part in read.get("skipped", {}).items()}
