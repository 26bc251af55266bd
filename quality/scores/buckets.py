"""The stage `perplexity_buckets`: head, middle and tail of a perplexity column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.language import detect_language
from raylib.errors import ParameterError, StageError, nearest
from raylib.schema import text_of
from raylib.stage import (
    Applier,
    GlobalStage,
    Notes,
    Outcome,
    Round,
    Section,
    Shuffled,
    SketchStore,
    keep_all,
    no_verdicts,
    stage,
    with_columns,
)
from raylib.stage.section import Bar, Bars

__all__ = ["PerplexityBuckets"]

Histogram = npt.NDArray[np.int64]
_BINS = 2048
_LOW, _HIGH = np.log(1.0), np.log(1e9)
_SKETCH = pa.schema(
    [
        ("row", pa.int32()),
        ("key", pa.uint64()),
        ("language", pa.string()),
        ("bin", pa.int32()),
        ("count", pa.int64()),
    ]
)


class _Found(TypedDict, total=False):
    """Notes of the stage: number of records and ends of buckets, by language."""

    records: dict[str, int]
    cuts: dict[str, list[float]]


@stage("perplexity_buckets", kind="global")
@dataclass(frozen=True)
class PerplexityBuckets(GlobalStage):
    """Add `bucket` by quantiles of perplexity within each language: head, middle, tail, as in CCNet.

    Needs the column that the stage `perplexity` adds. Quantiles come from a histogram of 2,048 steps of 1 percent, so
    its size does not depend on the data. Null where there is no perplexity. Source: Wenzek et al., "CCNet", LREC 2020.

    Attributes:
        quantiles: Upper ends of all buckets but the last, rising between 0 and 1.
        names: Names of all buckets, one more than quantiles.
        by: Column of perplexities.
        column: Name of the new column.
        min_records: Number of records below which a language takes the quantiles of all records.

    Raises:
        ParameterError: If names and quantiles do not fit, or quantiles do not rise.
    """

    quantiles: tuple[float, ...] = (1 / 3, 2 / 3)
    names: tuple[str, ...] = ("head", "middle", "tail")
    by: str = "perplexity"
    column: str = "bucket"
    min_records: int = 100

    def __post_init__(self) -> None:
        if len(self.names) != len(self.quantiles) + 1:
            raise ParameterError(f"names: {len(self.quantiles)} quantiles make {len(self.quantiles) + 1} buckets")
        if list(self.quantiles) != sorted(self.quantiles) or not all(0 < q < 1 for q in self.quantiles):
            raise ParameterError(f"quantiles must rise between 0 and 1, are {self.quantiles}")

    # ---- histograms ---------------------------------------------------------------------------

    def sketch(self, table: pa.Table) -> pa.Table:
        """A histogram of the perplexities of each language."""
        values = self._values(table)
        known = np.flatnonzero(np.isfinite(values))
        languages = _languages(table)[known]
        parts = []
        for name in sorted(set(languages)):
            bins, counts = np.unique(_bin(values[known[languages == name]]), return_counts=True)
            zeros = np.zeros(len(bins), np.int64)
            columns = [zeros, zeros, np.full(len(bins), name, object), bins, counts]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, _SKETCH, strict=True)]
            parts.append(pa.table(arrays, schema=_SKETCH))
        return pa.concat_tables(parts).combine_chunks() if parts else _SKETCH.empty_table()

    def rounds(self) -> tuple[Round, ...]:
        """One round that finds the quantiles of all records."""
        return (Round("quantiles", self._quantiles, broadcast=True), Round("finish", no_verdicts))

    def _quantiles(self, store: SketchStore) -> Shuffled:
        """The last bin of each bucket, by language; the empty name means all records."""
        histograms = _histograms(store)
        everything = sum(histograms.values(), np.zeros(_BINS, np.int64))
        enough = {n: h if h.sum() >= self.min_records else everything for n, h in histograms.items()}
        cuts = {n: self._cuts(h) for n, h in {**enough, "": everything}.items()}
        names = sorted(cuts)
        columns = {
            "language": pa.array(names, pa.string()),
            "cuts": pa.array([cuts[n] for n in names], pa.list_(pa.int32())),
        }
        notes: _Found = {
            "records": {n: int(h.sum()) for n, h in histograms.items()},
            "cuts": {n: [_upper(c) for c in cuts[n]] for n in names},
        }
        return Shuffled(pa.table(columns), notes=dict(notes))

    def _cuts(self, histogram: Histogram) -> list[int]:
        """The bin that each quantile falls into."""
        share = np.cumsum(histogram) / max(histogram.sum(), 1)
        return [int(np.searchsorted(share, q, side="left")) for q in self.quantiles]

    # ---- buckets ------------------------------------------------------------------------------

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """The function that adds the column."""
        cuts = dict(zip(shared[0]["language"].to_pylist(), shared[0]["cuts"].to_pylist(), strict=True))
        return lambda table, verdicts: self._with_buckets(table, cuts)

    def _with_buckets(self, table: pa.Table, cuts: Mapping[str, Sequence[int]]) -> Outcome:
        """The table with the bucket of each record."""
        values = self._values(table)
        known = np.isfinite(values)
        bins = _bin(np.where(known, values, 1.0))
        languages = _languages(table)
        bucket = np.zeros(len(table), np.int64)
        for language in set(languages):
            rows = languages == language
            # a bin that a quantile falls into belongs below it
            bucket[rows] = np.searchsorted(np.asarray(cuts.get(language, cuts[""])), bins[rows], side="left")
        names = pa.array(self.names, pa.string()).take(pa.array(bucket, mask=~known))
        return keep_all(with_columns(table, {self.column: names}))

    def _values(self, table: pa.Table) -> npt.NDArray[np.float64]:
        """Perplexities; NaN where a value is missing or not positive."""
        if self.by not in table.column_names:
            raise StageError(f"perplexity_buckets: no column {self.by!r}{nearest(self.by, table.column_names)}")
        values = pc.cast(table[self.by], pa.float64()).to_numpy()
        return np.where(values > 0, values, np.nan)

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section:
        """Records of each language, and where their buckets end."""
        cuts: dict[str, list[float]] = {}
        records: dict[str, int] = {}
        for note in cast("Sequence[_Found]", notes):
            cuts.update(note.get("cuts", {}))
            records.update(note.get("records", {}))
        rows = [
            Bar(name, count, "up to " + ", ".join(f"{c:,}" for c in cuts[name]))
            for name, count in sorted(records.items(), key=lambda kv: -kv[1])
        ]
        return Section("Perplexity by language", [Bars("Records, and where buckets end", rows)])


def _histograms(store: SketchStore) -> dict[str, Histogram]:
    """Histograms of all records, by language."""
    histograms: dict[str, Histogram] = {}
    for table in store.tables():
        for language in pc.unique(table["language"]).to_pylist():
            part = table.filter(pc.equal(table["language"], language))
            histogram = histograms.setdefault(language, np.zeros(_BINS, np.int64))
            np.add.at(histogram, part["bin"].to_numpy(), part["count"].to_numpy())
    return histograms


def _languages(table: pa.Table) -> npt.NDArray[np.object_]:
    """Language of each record."""
    return np.asarray(detect_language(pc.fill_null(text_of(table), "")), dtype=object)


def _bin(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Bin of each perplexity."""
    scaled = (np.log(values) - _LOW) / (_HIGH - _LOW) * _BINS
    bins: npt.NDArray[np.int64] = np.clip(scaled, 0, _BINS - 1).astype(np.int64)
    return bins


def _upper(cut: int) -> float:
    """Upper end of a bin."""
    return round(float(np.exp(_LOW + (cut + 1) / _BINS * (_HIGH - _LOW))), 2)
