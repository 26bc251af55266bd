"""The stage `perplexity_buckets`: head, middle and tail of a perplexity column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError, nearest
from raylib.schema import text_of
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, keep_all, no_verdicts, register
from raylib.stage.outcome import with_columns

__all__ = ["PerplexityBuckets"]


_BINS = 2048
_LOW, _HIGH = np.log(1.0), np.log(1e9)


@dataclass(frozen=True)
class PerplexityBuckets:
    """Add `bucket` by quantiles of perplexity within each language: head, middle, tail, as in CCNet.

    `quantiles` are the upper ends of all buckets but the last, `names` those of all. Languages with fewer than
    `min_records` records share the quantiles of all records. Needs the column that the stage `perplexity` adds;
    quantiles come from a histogram of 2,048 steps of 1 percent, so its size does not depend on the data.
    Null where there is no perplexity. Source: Wenzek et al., "CCNet", LREC 2020.
    """

    quantiles: tuple[float, ...] = (1 / 3, 2 / 3)
    names: tuple[str, ...] = ("head", "middle", "tail")
    by: str = "perplexity"
    column: str = "bucket"
    min_records: int = 100

    def __post_init__(self) -> None:
        if len(self.names) != len(self.quantiles) + 1:
            raise ValueError(f"names: {len(self.quantiles)} quantiles make {len(self.quantiles) + 1} buckets")
        if list(self.quantiles) != sorted(self.quantiles) or not all(0 < q < 1 for q in self.quantiles):
            raise ValueError(f"quantiles must rise between 0 and 1, are {self.quantiles}")

    def _values(self, table: pa.Table) -> np.ndarray[Any, Any]:
        if self.by not in table.column_names:
            raise StageError(f"perplexity_buckets: no column {self.by!r}{nearest(self.by, table.column_names)}")
        values = pc.cast(table[self.by], pa.float64()).to_numpy()
        return np.where(values > 0, values, np.nan)

    @staticmethod
    def _languages(table: pa.Table) -> np.ndarray[Any, Any]:
        from cleaning.language import detect_language

        return np.asarray(detect_language(pc.fill_null(text_of(table), "")), dtype=object)

    @staticmethod
    def _bin(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        scaled = (np.log(values) - _LOW) / (_HIGH - _LOW) * _BINS
        return np.clip(scaled, 0, _BINS - 1).astype(np.int64)

    def sketch(self, table: pa.Table) -> pa.Table:
        values = self._values(table)
        known = np.flatnonzero(np.isfinite(values))
        languages = self._languages(table)[known]
        names = sorted(set(languages))
        rows: dict[str, list[Any]] = {"row": [], "key": [], "language": [], "bin": [], "count": []}
        for name in names:
            bins, counts = np.unique(self._bin(values[known[languages == name]]), return_counts=True)
            rows["bin"] += bins.tolist()
            rows["count"] += counts.tolist()
            rows["language"] += [name] * len(bins)
        rows["row"] = [0] * len(rows["bin"])
        rows["key"] = [0] * len(rows["bin"])
        types = {"row": pa.int32(), "key": pa.uint64(), "language": pa.string(), "bin": pa.int32(), "count": pa.int64()}
        return pa.table({name: pa.array(rows[name], kind) for name, kind in types.items()})

    def rounds(self) -> tuple[Round, ...]:
        return (Round("quantiles", self._quantiles, broadcast=True), Round("nothing", no_verdicts))

    def resolve(self, sketches: SketchStore) -> pa.Table:
        return no_verdicts(sketches).rows

    def _quantiles(self, store: SketchStore) -> Shuffled:
        histograms: dict[str, np.ndarray[Any, Any]] = {}
        for table in store.tables():
            for language in pc.unique(table["language"]).to_pylist():
                part = table.filter(pc.equal(table["language"], language))
                bins, counts = part["bin"].to_numpy(), part["count"].to_numpy()
                histograms.setdefault(language, np.zeros(_BINS, np.int64))
                np.add.at(histograms[language], bins, counts)
        everything = sum(histograms.values(), np.zeros(_BINS, np.int64))
        cuts = {}
        for language, histogram in {**histograms, "": everything}.items():
            if histogram.sum() < self.min_records and language:
                histogram = everything
            share = np.cumsum(histogram) / max(histogram.sum(), 1)
            cuts[language] = [int(np.searchsorted(share, q, side="left")) for q in self.quantiles]
        names = sorted(cuts)
        rows = pa.table({"language": pa.array(names, pa.string()), "cuts": pa.array([cuts[n] for n in names], pa.list_(pa.int32()))})  # fmt: skip
        return Shuffled(rows, notes={"records": {n: int(h.sum()) for n, h in histograms.items()}, "cuts": {n: [self._upper(c) for c in cuts[n]] for n in names}})  # fmt: skip

    @staticmethod
    def _upper(cut: int) -> float:
        return round(float(np.exp(_LOW + (cut + 1) / _BINS * (_HIGH - _LOW))), 2)

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        raise ValueError("perplexity_buckets needs the quantiles of all records: use it in a recipe, or `applier`")

    def applier(self, shared: Sequence[pa.Table]) -> Callable[[pa.Table, pa.Table], Outcome]:
        """The function that adds the column."""
        cuts = dict(zip(shared[0]["language"].to_pylist(), shared[0]["cuts"].to_pylist(), strict=True))

        def add(table: pa.Table, verdicts: pa.Table) -> Outcome:
            values = self._values(table)
            known = np.isfinite(values)
            bins = self._bin(np.where(known, values, 1.0))
            languages = self._languages(table)
            bucket = np.zeros(len(table), np.int64)
            for language in set(languages):
                rows = languages == language
                # a bin that a quantile falls into belongs below it
                bucket[rows] = np.searchsorted(np.asarray(cuts.get(language, cuts[""])), bins[rows], side="left")
            names = pa.array(self.names, pa.string()).take(pa.array(bucket, mask=~known))
            return keep_all(with_columns(table, {self.column: names}))

        return add

    def section(self, notes: list[dict[str, Any]], store: SketchStore) -> dict[str, Any]:
        """This stage's part of the report."""
        cuts = {k: v for n in notes for k, v in n.get("cuts", {}).items()}
        records = {k: v for n in notes for k, v in n.get("records", {}).items()}
        rows = [
            {"label": name, "value": count, "note": "up to " + ", ".join(f"{c:,}" for c in cuts[name])}
            for name, count in sorted(records.items(), key=lambda kv: -kv[1])
        ]
        return {"title": "Perplexity by language", "blocks": [{"kind": "bars", "title": "Records, and where buckets end", "rows": rows}]}  # fmt: skip


register(
    StageInfo(name="perplexity_buckets", make=PerplexityBuckets, kind="global", summary=PerplexityBuckets.__doc__ or "")
)
