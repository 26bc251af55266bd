"""Lines of the manifest: the head and the end of a run, and what each finished task left, as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypedDict

from raylib.storage.names import STREAM, Phase, ShardName

__all__ = ["Entry", "Line", "LineJson", "RoundEntry", "RunEnd", "RunHeader", "ShardEntry", "StreamEntry"]


class LineJson(TypedDict, total=False):
    """Keys of all kinds of lines, as they stand on the disk."""

    run: str
    started: float
    versions: dict[str, str]
    segments: list[str]
    phase: str
    shard: str
    key: str
    files: dict[str, int]
    sums: dict[str, str]
    end: str
    unused: list[str]
    work: bool
    recipe: str
    seconds: float
    records_in: int
    records_out: int
    records_rejected: int
    bytes_in: int
    consumed: int
    sketch_bytes: int
    rows: int
    bytes: int
    changed: bool
    notes: dict[str, object]
    blocks: int


@dataclass(frozen=True)
class RunHeader:
    """The line with which a run, or its continuation, begins.

    Attributes:
        run: Fingerprint of the recipe.
        started: Seconds since 1970.
        versions: Versions of raylib, Python and the main libraries.
        bytes: Size of the input on disk.
        segments: Labels of the stages of each segment, joined by ` + `.
        recipe: Checksum of `recipe.yaml`; empty in a line of an older version.
    """

    run: str
    started: float
    versions: Mapping[str, str]
    bytes: int
    segments: tuple[str, ...]
    recipe: str = ""

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {
            "run": self.run,
            "started": self.started,
            "versions": self.versions,
            "bytes": self.bytes,
            "segments": self.segments,
            **({"recipe": self.recipe} if self.recipe else {}),
        }

    @classmethod
    def from_json(cls, data: LineJson) -> RunHeader:
        """The header that a line holds."""
        return cls(
            run=data["run"],
            started=data.get("started", 0.0),
            versions=data.get("versions", {}),
            bytes=data.get("bytes", 0),
            segments=tuple(data.get("segments", ())),
            recipe=data.get("recipe", ""),
        )


@dataclass(frozen=True)
class ShardEntry:
    """What a segment did to a shard.

    Attributes:
        phase: The segment.
        shard: The shard.
        key: Fingerprint of everything that determines the files.
        files: Size in bytes of each file that was written.
        seconds: Time that the task took.
        records_in: Records read, or taken over from the segment before.
        records_out: Records passed on, or kept.
        records_rejected: Records rejected in this segment.
        bytes_in: Raw bytes of the input, decompressed.
        consumed: Bytes of the file on disk that were read up to the end of this shard.
        sketch_bytes: Size of the sketches in memory.
        sums: Checksum of each file; an older version wrote none.
    """

    phase: Phase
    shard: ShardName
    key: str
    files: Mapping[str, int]
    seconds: float = 0.0
    records_in: int = 0
    records_out: int = 0
    records_rejected: int = 0
    bytes_in: int = 0
    consumed: int = 0
    sketch_bytes: int = 0
    sums: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {
            "files": self.files,
            **_sums_json(self.sums),
            "records_in": self.records_in,
            "records_out": self.records_out,
            "records_rejected": self.records_rejected,
            "bytes_in": self.bytes_in,
            "consumed": self.consumed,
            "sketch_bytes": self.sketch_bytes,
            "phase": str(self.phase),
            "shard": str(self.shard),
            "key": self.key,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: LineJson) -> ShardEntry:
        """The entry that a line holds; counters that an older version did not write are 0."""
        return cls(
            phase=Phase.parse(data["phase"]),
            shard=ShardName.parse(data["shard"]),
            key=data["key"],
            files=data.get("files", {}),
            seconds=data.get("seconds", 0.0),
            records_in=data.get("records_in", 0),
            records_out=data.get("records_out", 0),
            records_rejected=data.get("records_rejected", 0),
            bytes_in=data.get("bytes_in", 0),
            consumed=data.get("consumed", 0),
            sketch_bytes=data.get("sketch_bytes", 0),
            sums=data.get("sums", {}),
        )


@dataclass(frozen=True)
class RoundEntry:
    """What a task of a round did to its range of keys.

    Attributes:
        phase: The round.
        shard: Number of the range.
        key: Fingerprint of everything that determines the files.
        files: Size in bytes of each file that was written.
        seconds: Time that the task took.
        rows: Rows for the next round, or verdicts.
        bytes: Size of these rows in memory.
        changed: Whether the round has to be repeated.
        notes: Facts for the report.
        sums: Checksum of each file; an older version wrote none.
    """

    phase: Phase
    shard: ShardName
    key: str
    files: Mapping[str, int]
    seconds: float = 0.0
    rows: int = 0
    bytes: int = 0
    changed: bool = False
    notes: Mapping[str, object] = field(default_factory=dict)
    sums: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {
            "files": self.files,
            **_sums_json(self.sums),
            "rows": self.rows,
            "bytes": self.bytes,
            "changed": self.changed,
            "notes": self.notes,
            "phase": str(self.phase),
            "shard": str(self.shard),
            "key": self.key,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: LineJson) -> RoundEntry:
        """The entry that a line holds."""
        return cls(
            phase=Phase.parse(data["phase"]),
            shard=ShardName.parse(data["shard"]),
            key=data["key"],
            files=data.get("files", {}),
            seconds=data.get("seconds", 0.0),
            rows=data.get("rows", 0),
            bytes=data.get("bytes", 0),
            changed=data.get("changed", False),
            notes=data.get("notes", {}),
            sums=data.get("sums", {}),
        )


@dataclass(frozen=True)
class StreamEntry:
    """A large file that was read to its end.

    Attributes:
        shard: The unit that the file is.
        key: Fingerprint of the file and of what comes after it.
        blocks: Number of blocks, which are shards of the first segment.
    """

    shard: ShardName
    key: str
    blocks: int

    phase = STREAM
    files: Mapping[str, int] = field(default_factory=dict)
    sums: ClassVar[Mapping[str, str]] = {}

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {
            "phase": str(self.phase),
            "shard": str(self.shard),
            "key": self.key,
            "files": self.files,
            "blocks": self.blocks,
        }

    @classmethod
    def from_json(cls, data: LineJson) -> StreamEntry:
        """The entry that a line holds."""
        return cls(ShardName.parse(data["shard"]), data["key"], data["blocks"], data.get("files", {}))


@dataclass(frozen=True)
class RunEnd:
    """The line with which a run ends: the files that are written once it has ended.

    Attributes:
        run: Fingerprint of the recipe.
        files: Size in bytes of each file.
        sums: Checksum of each file.
        unused: Tasks in the manifest that are no part of this run: of an earlier recipe, or of quarantined shards.
        work: Whether the records in work are still there.
    """

    run: str
    files: Mapping[str, int]
    sums: Mapping[str, str]
    unused: tuple[str, ...] = ()
    work: bool = True

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {"end": self.run, "files": self.files, "sums": self.sums, "unused": self.unused, "work": self.work}

    @classmethod
    def from_json(cls, data: LineJson) -> RunEnd:
        """The end that a line holds."""
        unused = tuple(data.get("unused", ()))
        return cls(data["end"], data.get("files", {}), data.get("sums", {}), unused, data.get("work", True))


Entry = ShardEntry | RoundEntry | StreamEntry
Line = RunHeader | RunEnd | Entry


def _sums_json(sums: Mapping[str, str]) -> dict[str, object]:
    return {"sums": sums} if sums else {}
