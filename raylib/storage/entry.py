"""Lines of the manifest: the head of a run, and what each finished task left. JSON is written and read here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import orjson

from raylib.storage.names import STREAM, Phase, ShardName

__all__ = ["Entry", "Line", "RoundEntry", "RunHeader", "ShardEntry", "StreamEntry", "read_line"]


class _LineJson(TypedDict, total=False):
    """Keys of all kinds of lines, as they stand on the disk."""

    run: str
    started: float
    versions: dict[str, str]
    segments: list[str]
    phase: str
    shard: str
    key: str
    files: dict[str, int]
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
    """

    run: str
    started: float
    versions: Mapping[str, str]
    bytes: int
    segments: tuple[str, ...]

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {
            "run": self.run,
            "started": self.started,
            "versions": self.versions,
            "bytes": self.bytes,
            "segments": self.segments,
        }

    @classmethod
    def from_json(cls, data: _LineJson) -> RunHeader:
        """The header that a line holds."""
        segments = tuple(data.get("segments", ()))
        return cls(data["run"], data.get("started", 0.0), data.get("versions", {}), data.get("bytes", 0), segments)


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

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {
            "files": self.files,
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
    def from_json(cls, data: _LineJson) -> ShardEntry:
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

    def to_json(self) -> Mapping[str, object]:
        """The line as JSON."""
        return {
            "files": self.files,
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
    def from_json(cls, data: _LineJson) -> RoundEntry:
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
    def from_json(cls, data: _LineJson) -> StreamEntry:
        """The entry that a line holds."""
        return cls(ShardName.parse(data["shard"]), data["key"], data["blocks"], data.get("files", {}))


Entry = ShardEntry | RoundEntry | StreamEntry
Line = RunHeader | Entry


def read_line(line: bytes) -> Line | None:
    """What a line of the manifest says.

    Args:
        line: One line, without its end.

    Returns:
        The header or the entry; None for a line that was cut when the writer was killed, and for one that this version
        does not know.
    """
    try:
        data: _LineJson = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if "shard" not in data:
        return RunHeader.from_json(data) if "run" in data else None
    phase = Phase.parse(data["phase"])
    if phase.kind == "stream":
        return StreamEntry.from_json(data)
    return ShardEntry.from_json(data) if phase.is_segment else RoundEntry.from_json(data)
