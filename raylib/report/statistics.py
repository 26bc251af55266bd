"""What a run counts: records and characters by stage, reason and source, length histograms, samples.

Everything here is additive over shards, so a run's numbers are the sum of its shards' numbers,
whoever computed them and in whatever order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from raylib.schema import SCHEMAS, text_of

__all__ = ["HISTOGRAM_EDGES", "ShardStatistics", "add_counts", "merge_samples", "shard_sample_size", "summed_splits"]


# Length classes: 0, 1, 2-3, 4-7, ... characters; the last takes everything from 2^24.
HISTOGRAM_EDGES = [0, *(1 << i for i in range(25))]
_SAMPLE_CHARACTERS = 3000
_OWN = {name for schema in SCHEMAS.values() for name in schema.names} | {"__row"}
_NULL = "(none)"


def _lengths(table: pa.Table) -> np.ndarray[Any, Any]:
    return pc.fill_null(pc.utf8_length(text_of(table)), 0).to_numpy(zero_copy_only=False)


def _histogram(lengths: np.ndarray[Any, Any]) -> list[int]:
    classes = np.zeros(len(lengths), np.int64)
    positive = lengths > 0
    classes[positive] = np.minimum(np.log2(lengths[positive]).astype(np.int64) + 1, len(HISTOGRAM_EDGES) - 1)
    return np.bincount(classes, minlength=len(HISTOGRAM_EDGES)).tolist()


def value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs: text as it is, numbers rounded to three digits; additive over shards.

    Up to 200 texts; the others count as `(other)`. Empty for columns that are neither numbers nor text.
    """
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        pairs = sorted(pc.value_counts(column).to_pylist(), key=lambda p: (-p["counts"], str(p["values"])))
        out = {_NULL if p["values"] is None else str(p["values"]).lower() if pa.types.is_boolean(kind) else p["values"]: p["counts"] for p in pairs[:200]}  # fmt: skip
        if len(pairs) > 200:
            out["(other)"] = out.get("(other)", 0) + sum(p["counts"] for p in pairs[200:])
        return out
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return {}
    values = column.drop_null().to_numpy().astype(np.float64)
    finite = values[np.isfinite(values)]
    size = np.floor(np.log10(np.maximum(np.abs(finite), 1e-300)))
    scale = 10.0 ** (2 - size)
    rounded, counts = np.unique(np.where(finite == 0, 0.0, np.round(finite * scale) / scale), return_counts=True)
    out = {f"{v:.4g}": 0 for v in rounded.tolist()}
    for value, count in zip(rounded.tolist(), counts.tolist(), strict=True):
        out[f"{value:.4g}"] += count
    missing = len(column) - len(finite)
    return {**out, **({_NULL: missing} if missing else {})}


def summed_splits(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of each folder of a split output, with means of the scores in place of sums."""
    out = {}
    for name, counts in sorted(splits.items()):
        means = {column: round(s["sum"] / s["count"], 6) for column, s in sorted(counts["scores"].items())}
        out[name] = {**{k: v for k, v in counts.items() if k != "scores"}, "mean": means}
    return out


def add_counts(total: dict[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Add nested counters in place: numbers add up, lists add element by element, mappings recurse."""
    for key, value in part.items():
        if isinstance(value, Mapping):
            add_counts(total.setdefault(key, {}), value)
        elif isinstance(value, list):
            old = total.get(key) or [0] * len(value)
            total[key] = [a + b for a, b in zip(old, value, strict=True)]
        else:
            total[key] = total.get(key, 0) + value
    return total


def merge_samples(parts: Iterable[list[dict[str, Any]]], size: int) -> list[dict[str, Any]]:
    """The `size` samples with the smallest draws: a uniform sample, the same for any order of shards."""
    everything = [s for part in parts for s in part]
    return sorted(everything, key=lambda s: (s["draw"], s["id"]))[:size]


def shard_sample_size(size: int, position: int) -> int:
    """How many samples a shard keeps for a run's sample of `size`.

    The shard at `position` knows that there are at least `position` others, so on average at most
    size / (position + 1) of its records end up in the sample; three times that and ten more make a
    miss negligible, and thousands of shards do not write thousands of full samples.
    """
    return min(size, 3 * size // (position + 1) + 10) if size else 0


def shortened(text: str) -> str:
    """Long texts keep their head and tail, which is where cleaning shows."""
    if len(text) <= _SAMPLE_CHARACTERS:
        return text
    half = _SAMPLE_CHARACTERS // 2
    return f"{text[:half]}\n⋯ {len(text) - 2 * half} characters left out ⋯\n{text[-half:]}"


@dataclass
class ShardStatistics:
    """Counters and samples of one shard in one phase."""

    seed: int
    sample_size: int
    counts: dict[str, Any] = field(default_factory=dict)
    kept: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, counts: Mapping[str, Any]) -> None:
        add_counts(self.counts, counts)

    def read(self, table: pa.Table, rejects: pa.Table) -> None:
        """Count records as they are read."""
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
        """Count what a stage did to a table, and the values of columns that it added."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        new = [c for c in kept.column_names if c not in before.column_names]
        self._columns(kept, new, "scored")
        self.add(
            {
                "stages": {
                    name: {
                        "in": len(before),
                        "rejected": rejected,
                        "changed": changed,
                        "characters_in": characters[0],
                        "characters_out": characters[1],
                    }
                }
            }
        )

    def reject(self, table: pa.Table) -> None:
        """Count and sample rejects: original records with stage, reason and detail."""
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
        for row, draw in self._drawn(table, self.rejected):
            record = table.slice(row, 1)
            text = text_of(record)[0].as_py() or ""
            if not text and "meta" in record.column_names:
                text = record["meta"][0].as_py() or ""
            sample = {"id": record["id"][0].as_py() or "", "draw": draw, "before": shortened(text)}
            sample |= {k: record[k][0].as_py() for k in ("source", "stage", "reason", "detail")}
            self.rejected.append(sample)
        self.rejected = merge_samples([self.rejected], self.sample_size)

    def keep(self, table: pa.Table, original: pa.Table) -> None:
        """Count and sample kept records; `original` has the same rows as they were read."""
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
        for name in names:
            counts = value_counts(table[name])
            if counts:
                self.add({"columns": {name: {when: counts}}})

    def split(self, name: str, table: pa.Table, tokens: int | None) -> None:
        """Count the records of one folder of a split output, and sum their scores."""
        sums: dict[str, Any] = {}
        for column in table.column_names:
            values = table[column]
            if column not in _OWN and (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
                count = len(values) - values.null_count
                if count:
                    sums[column] = {"sum": round(float(pc.sum(values).as_py()), 6), "count": count}
        counts: dict[str, Any] = {"records": len(table), "characters": int(_lengths(table).sum()), "scores": sums}
        if tokens is not None:
            counts["tokens"] = tokens
        self.add({"splits": {name: counts}})

    def _drawn(self, table: pa.Table, held: list[dict[str, Any]]) -> list[tuple[int, int]]:
        """Rows that belong into the sample so far: those with the smallest hashes of (seed, id)."""
        if self.sample_size == 0 or len(table) == 0:
            return []
        hashed = xxhash.xxh64_intdigest
        # 53 bits, so that the draw survives JSON readers that only know doubles
        draws = np.array([hashed((i or "").encode(), self.seed) >> 11 for i in table["id"].to_pylist()], np.int64)
        ceiling = held[-1]["draw"] if len(held) >= self.sample_size else 1 << 62
        rows = np.flatnonzero(draws <= ceiling)
        rows = rows[np.argsort(draws[rows], kind="stable")][: self.sample_size]
        return [(int(r), int(draws[r])) for r in rows]

    @staticmethod
    def _by_source(table: pa.Table, what: str, lengths: np.ndarray[Any, Any] | None) -> dict[str, Any]:
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

    def to_json(self) -> dict[str, Any]:
        return {"counts": self.counts, "kept": self.kept, "rejected": self.rejected, "seconds": self.seconds}
