"""Names of phases, shards and files in the folder of a run. No other module spells them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["STREAM", "Phase", "RunFiles", "ShardName"]


@dataclass(frozen=True)
class Phase:
    """A step of a run: a segment of fused stages, a round of a global stage, or the cutting of large files.

    Attributes:
        kind: `segment`, `round` or `stream`.
        numbers: of a segment its number, from 0. Of a round the segment before it, the position of the round in its
            stage, and the repetition. Of the stream nothing.
    """

    kind: Literal["segment", "round", "stream"]
    numbers: tuple[int, ...] = ()

    @classmethod
    def segment(cls, number: int) -> Phase:
        """The phase of a segment, written `s0`."""
        return cls("segment", (number,))

    @classmethod
    def round(cls, segment: int, position: int, repetition: int) -> Phase:
        """The phase of a round of the global stage after a segment, written `r1.0.2`."""
        return cls("round", (segment, position, repetition))

    @classmethod
    def parse(cls, text: str) -> Phase:
        """Read what `str` writes.

        Raises:
            ValueError: the text is not the name of a phase.
        """
        if text == "stream":
            return STREAM
        if found := re.fullmatch(r"s(\d+)", text):
            return cls.segment(int(found[1]))
        if found := re.fullmatch(r"r(\d+)\.(\d+)\.(\d+)", text):
            return cls.round(*(int(number) for number in found.groups()))
        raise ValueError(f"{text!r} is not the name of a phase, such as s0, r1.0.2 or stream")

    @property
    def is_segment(self) -> bool:
        """Whether records go through stages in this phase."""
        return self.kind == "segment"

    @property
    def is_first(self) -> bool:
        """Whether this is the segment that reads the input."""
        return self.kind == "segment" and self.numbers == (0,)

    @property
    def number(self) -> int:
        """Number of the segment, or of the segment that a round follows.

        Raises:
            ValueError: the phase belongs to no segment.
        """
        if not self.numbers:
            raise ValueError(f"phase {self} belongs to no segment")
        return self.numbers[0]

    def __str__(self) -> str:
        if self.kind == "stream":
            return "stream"
        return {"segment": "s", "round": "r"}[self.kind] + ".".join(str(number) for number in self.numbers)


STREAM = Phase("stream")  # large files, read once and cut into shards of the first segment


@dataclass(frozen=True)
class ShardName:
    """Name of a shard: `00003`, or `00003-00012` for a block of a large file. Names sort as their texts do.

    Attributes:
        unit: Number of the unit of input that the shard is or comes from; in a round, number of the key range.
        block: Number of the block in a large file that a reader cuts; None for a unit that is one shard.
    """

    unit: int
    block: int | None = None

    @classmethod
    def parse(cls, text: str) -> ShardName:
        """Read what `str` writes.

        Raises:
            ValueError: the text is not the name of a shard.
        """
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        if found is None:
            raise ValueError(f"{text!r} is not the name of a shard, such as 00003 or 00003-00012")
        return cls(int(found[1]), None if found[2] is None else int(found[2]))

    @property
    def position(self) -> int:
        """A lower bound of the number of shards before this one in the run."""
        return self.unit + (self.block or 0)

    def __str__(self) -> str:
        return f"{self.unit:05d}" if self.block is None else f"{self.unit:05d}-{self.block:05d}"

    def __lt__(self, other: ShardName) -> bool:
        return str(self) < str(other)


class RunFiles:
    """Every file name of a run, relative to its folder."""

    DECISIONS = "decisions.json"
    MANIFEST = "manifest.jsonl"
    RECIPE = "recipe.yaml"
    REPORT = "report.html"
    SAMPLES = "samples.json"
    SECTIONS = "sections.json"
    SPLITS = "splits.json"
    SUMMARY = "summary.json"

    KEPT = "kept"
    REJECTED = "rejected"
    WORK = ".work"

    FOLDERS = (KEPT, REJECTED, WORK)
    # what a run has besides shards and manifest
    AT_THE_END = (SUMMARY, REPORT, RECIPE, SAMPLES, DECISIONS, SECTIONS, SPLITS)

    @staticmethod
    def manifest_part(number: int) -> str:
        """A part of the manifest: `manifest.jsonl`, and in object storage `manifest-00001.jsonl` and so on."""
        return RunFiles.MANIFEST if number == 0 else f"manifest-{number:05d}.jsonl"

    @staticmethod
    def kept(shard: ShardName, extension: str, folder: str = "") -> str:
        """Kept records of a shard; `folder` is where records with one value of the column to split by go."""
        return "/".join(part for part in (RunFiles.KEPT, folder, f"part-{shard}.{extension}") if part)

    @staticmethod
    def rejected(phase: Phase, shard: ShardName) -> str:
        """Records of a shard that a segment rejected, as they were read."""
        return f"{RunFiles.REJECTED}/{phase}-{shard}.parquet"

    @staticmethod
    def is_kept(name: str) -> bool:
        """Whether a file holds kept records."""
        return name.startswith(f"{RunFiles.KEPT}/")

    @staticmethod
    def is_rejected(name: str) -> bool:
        """Whether a file holds rejected records."""
        return name.startswith(f"{RunFiles.REJECTED}/")

    @staticmethod
    def work(phase: Phase) -> str:
        """Folder of what a phase leaves for later phases and for the report."""
        return f"{RunFiles.WORK}/{phase}"

    @staticmethod
    def part(phase: Phase, shard: ShardName) -> str:
        """Records of a shard in work, between two segments."""
        return f"{RunFiles.work(phase)}/part-{shard}.arrow"

    @staticmethod
    def sketch(phase: Phase, shard: ShardName) -> str:
        """Sketches of a shard, sorted by key."""
        return f"{RunFiles.work(phase)}/sketch-{shard}.arrow"

    @staticmethod
    def facts(phase: Phase, shard: ShardName) -> str:
        """Facts of a shard, a row a record."""
        return f"{RunFiles.work(phase)}/facts-{shard}.arrow"

    @staticmethod
    def stats(phase: Phase, shard: ShardName) -> str:
        """Counters and samples of a shard."""
        return f"{RunFiles.work(phase)}/stats-{shard}.json"

    @staticmethod
    def run(phase: Phase, shard: ShardName) -> str:
        """Rows that a task of a round gives to the next round, or its verdicts."""
        return f"{RunFiles.work(phase)}/run-{shard}.arrow"
