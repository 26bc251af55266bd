"""Statistics of shards: records and characters by stage, reason and source, histograms of lengths, samples.

All counts are additive: the numbers of a run are the sums of the numbers of its shards, no matter who counted them and
in which order.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.hashing import id_hashes
from raylib.report.counts import Counts, SplitCounts, add_counts, summed_splits, value_counts
from raylib.report.decisions import DRAWN_EDITS, DRAWN_REJECTS, Decisions, DrawnDecisions
from raylib.report.samples import KeptSample, RejectedSample, Sample, merge_samples, shard_sample_size, shortened
from raylib.schema import SCHEMAS, text_of

__all__ = [
    "HISTOGRAM_EDGES",
    "ShardStatistics",
    "StatisticsJson",
    "add_counts",
    "merge_samples",
    "shard_sample_size",
    "summed_splits",
]


# Length classes: 0, 1, 2-3, 4-7, ... characters; the last takes everything from 2^24.
HISTOGRAM_EDGES = [0, *(1 << i for i in range(25))]
_OWN = {name for schema in SCHEMAS.values() for name in schema.names} | {"__row"}


class _Counted(TypedDict):
    """What every version wrote."""

    counts: Counts
    kept: list[KeptSample]
    rejected: list[RejectedSample]
    seconds: dict[str, float]


class StatisticsJson(_Counted, total=False):
    """The statistics of a shard, as its file in `.work` holds them; older versions wrote no `decisions`."""

    decisions: Decisions


def _lengths(table: pa.Table) -> npt.NDArray[np.int64]:
    """Characters of each record."""
    lengths: npt.NDArray[np.int64] = pc.fill_null(pc.utf8_length(text_of(table)), 0).to_numpy(zero_copy_only=False)
    return lengths


def _histogram(lengths: npt.NDArray[np.int64]) -> list[int]:
    """Number of records in each class of length."""
    classes = np.zeros(len(lengths), np.int64)
    positive = lengths > 0
    classes[positive] = np.minimum(np.log2(lengths[positive]).astype(np.int64) + 1, len(HISTOGRAM_EDGES) - 1)
    histogram: list[int] = np.bincount(classes, minlength=len(HISTOGRAM_EDGES)).tolist()
    return histogram


@dataclass
class ShardStatistics:
    """Counts and samples of one shard in one segment.

    Attributes:
        seed: Seed of the random draw of samples.
        sample_size: Number of kept, and of rejected, records to draw.
        counts: What was counted so far.
        kept: Kept records that are drawn so far, smallest draw first.
        rejected: Rejected records that are drawn so far, smallest draw first.
        seconds: Time spent in each stage.
        decisions: Single edits and rejects of each stage that are drawn so far.
        position: Lower bound of the number of shards before this one.
    """

    seed: int
    sample_size: int
    position: int = 0
    counts: Counts = field(default_factory=Counts)
    kept: list[KeptSample] = field(default_factory=list)
    rejected: list[RejectedSample] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    decisions: DrawnDecisions = field(init=False)

    def __post_init__(self) -> None:
        edits, rejects = (DRAWN_EDITS, DRAWN_REJECTS) if self.sample_size else (0, 0)
        self.decisions = DrawnDecisions(
            self.seed, shard_sample_size(edits, self.position), shard_sample_size(rejects, self.position)
        )

    def add(self, counts: Counts) -> None:
        """Add counts to those of the shard."""
        add_counts(self.counts, counts)

    def read(self, table: pa.Table, rejects: pa.Table) -> None:
        """Count records as they are read.

        Args:
            table: Records of the kind of the run.
            rejects: Records that could not be read.
        """
        lengths = _lengths(table)
        self.add(
            {
                "records_in": len(table) + len(rejects),
                "characters_in": int(lengths.sum()),
                "sources": self._by_source(table, "in", lengths),
                "histogram_in": _histogram(lengths),
            }
        )
        if len(rejects):
            self.add({"sources": self._by_source(rejects, "in", None)})

    def spend(self, name: str, seconds: float) -> None:
        """Count the time that a stage took.

        Args:
            name: Label of the stage.
            seconds: The time.
        """
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    @contextmanager
    def spending(self, name: str) -> Iterator[None]:
        """Count the time that the block takes as time of a stage.

        Args:
            name: Label of the stage; empty to count nothing.
        """
        begun = time.perf_counter()
        yield
        if name:
            self.spend(name, time.perf_counter() - begun)

    def stage(
        self,
        name: str,
        before: pa.Table,
        kept: pa.Table,
        rejected: int,
        seconds: float,
        characters: tuple[int, int],
        changed: int,
    ) -> None:
        """Count what a stage did to a table, and the values of the columns that it added.

        Args:
            name: Label of the stage.
            before: Records that the stage was given.
            kept: Records that it passed on.
            rejected: Number of records that it rejected.
            seconds: Time that it took.
            characters: Characters of the texts before and after it.
            changed: Number of records whose text it rewrote.
        """
        self.spend(name, seconds)
        new = [c for c in kept.column_names if c not in before.column_names]
        self._columns(kept, new, "scored")
        totals = {
            "in": len(before),
            "rejected": rejected,
            "changed": changed,
            "characters_in": characters[0],
            "characters_out": characters[1],
        }
        self.add({"stages": {name: totals}})

    def reject(self, table: pa.Table) -> None:
        """Count rejected records and draw samples of them.

        Args:
            table: The records as they were read, with columns `stage`, `reason` and `detail`.
        """
        if len(table) == 0:
            return
        pairs = pc.value_counts(pc.binary_join_element_wise(table["stage"], table["reason"], "/")).to_pylist()
        self.add(
            {
                "records_rejected": len(table),
                "reasons": {p["values"]: p["counts"] for p in pairs},
                "sources": self._by_source(table, "rejected", None),
            }
        )
        self.decisions.rejected(table)
        for row, draw in self._drawn(table, self.rejected):
            record = table.slice(row, 1)
            text = text_of(record)[0].as_py() or ""
            if not text and "meta" in record.column_names:
                text = record["meta"][0].as_py() or ""
            self.rejected.append(
                {
                    "id": record["id"][0].as_py() or "",
                    "draw": draw,
                    "before": shortened(text),
                    "source": record["source"][0].as_py(),
                    "stage": record["stage"][0].as_py(),
                    "reason": record["reason"][0].as_py(),
                    "detail": record["detail"][0].as_py(),
                }
            )
        self.rejected = merge_samples([self.rejected], self.sample_size)

    def keep(self, table: pa.Table, original: pa.Table) -> None:
        """Count kept records and draw samples of them.

        Args:
            table: The records as they are written.
            original: The same records as they were read.
        """
        lengths = _lengths(table)
        self.add(
            {
                "records_kept": len(table),
                "characters_kept": int(lengths.sum()),
                "sources": self._by_source(table, "kept", lengths),
                "histogram_kept": _histogram(lengths),
            }
        )
        self._columns(table, [c for c in table.column_names if c not in _OWN], "kept")
        for row, draw in self._drawn(table, self.kept):
            self.kept.append(
                {
                    "id": table["id"][row].as_py() or "",
                    "source": table["source"][row].as_py(),
                    "draw": draw,
                    "before": shortened(text_of(original.slice(row, 1))[0].as_py() or ""),
                    "after": shortened(text_of(table.slice(row, 1))[0].as_py() or ""),
                }
            )
        self.kept = merge_samples([self.kept], self.sample_size)

    def _columns(self, table: pa.Table, names: Iterable[str], when: str) -> None:
        """Count the values of columns, `when` they are scored or kept."""
        for name in names:
            counts = value_counts(table[name])
            if counts:
                self.add({"columns": {name: {when: counts}}})

    def split(self, name: str, table: pa.Table, tokens: int | None) -> None:
        """Count the records of one folder of a split output, and sum their scores.

        Args:
            name: The folder.
            table: Records that are written to it.
            tokens: Number of their tokens; None without a tokenizer.
        """
        sums: dict[str, dict[str, float]] = {}
        for column in table.column_names:
            values = table[column]
            if column not in _OWN and (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
                count = len(values) - values.null_count
                if count:
                    sums[column] = {"sum": round(float(pc.sum(values).as_py()), 6), "count": count}
        counts: SplitCounts = {"records": len(table), "characters": int(_lengths(table).sum()), "scores": sums}
        if tokens is not None:
            counts["tokens"] = tokens
        self.add({"splits": {name: counts}})

    def _drawn(self, table: pa.Table, held: Sequence[Sample]) -> list[tuple[int, int]]:
        """Rows that belong in the sample so far, with their draws: those with the smallest hashes of seed and id."""
        if self.sample_size == 0 or len(table) == 0:
            return []
        # 53 bits, so that the draw survives JSON readers that only know doubles
        draws = (id_hashes(table, self.seed) >> np.uint64(11)).astype(np.int64)
        ceiling = held[-1]["draw"] if len(held) >= self.sample_size else 1 << 62
        rows = np.flatnonzero(draws <= ceiling)
        rows = rows[np.argsort(draws[rows], kind="stable")][: self.sample_size]
        return [(int(r), int(draws[r])) for r in rows]

    @staticmethod
    def _by_source(table: pa.Table, what: str, lengths: npt.NDArray[np.int64] | None) -> dict[str, dict[str, int]]:
        """Records, and with `lengths` characters, of each source, counted as `what`."""
        if len(table) == 0:
            return {}
        codes = pc.dictionary_encode(pc.fill_null(table["source"], "")).combine_chunks()
        if isinstance(codes, pa.ChunkedArray):
            codes = codes.chunk(0)
        indices = codes.indices.to_numpy(zero_copy_only=False)
        names = codes.dictionary.to_pylist()
        count = np.bincount(indices, minlength=len(names))
        out = {n: {what: int(c)} for n, c in zip(names, count, strict=True)}
        if lengths is not None:
            sums = np.bincount(indices, weights=lengths, minlength=len(names))
            for name, total in zip(names, sums, strict=True):
                out[name][f"characters_{what}"] = int(total)
        return out

    def to_json(self) -> StatisticsJson:
        """The statistics as JSON; `books` adds them up."""
        return {
            "counts": self.counts,
            "kept": self.kept,
            "rejected": self.rejected,
            "decisions": self.decisions.to_json(),
            "seconds": self.seconds,
        }
