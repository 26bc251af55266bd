"""Counts of a shard or a run: what is counted, and how counts add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "MISSING",
    "OTHER",
    "OTHER_SOURCES",
    "Counts",
    "FolderTotals",
    "SplitCounts",
    "add_counts",
    "largest_sources",
    "summed_splits",
    "value_counts",
]


MISSING = "(none)"  # stands for a value that is missing
OTHER_SOURCES = "(other sources)"
"""Stands for the sources that are not counted one by one; `sources` among its counts is their number."""

OTHER = "(other)"  # stands for the texts of a column that are not counted one by one
_TEXTS = 200  # different texts that are counted in a column; the others count as `(other)`
_Total = TypeVar("_Total", bound=Mapping[str, object])


class SplitCounts(TypedDict, total=False):
    """Counts of one folder of a split output; `scores` holds the sum and the number of values of each score column."""

    records: int
    characters: int
    tokens: int
    scores: dict[str, dict[str, float]]


class FolderTotals(TypedDict, total=False):
    """Totals of one folder of a split output; `mean` holds the mean of each score column."""

    records: int
    characters: int
    tokens: int
    mean: dict[str, float]


class Counts(TypedDict, total=False):
    """What a shard, or a run, counts. Every number adds up over shards."""

    records_in: int
    records_kept: int
    records_rejected: int
    records_added: int
    characters_in: int
    characters_kept: int
    tokens_kept: int
    stages: dict[str, dict[str, int]]  # by stage: in, rejected, changed, characters_in, characters_out
    reasons: dict[str, int]  # by stage/reason
    sources: dict[str, dict[str, int]]  # by source: in, kept, rejected, characters_in, characters_kept
    histogram_in: list[int]  # by class of length
    histogram_kept: list[int]
    columns: dict[str, dict[str, dict[str, int]]]  # by column, then `scored` or `kept`, then value
    notes: dict[str, Mapping[str, float]]  # by stage
    splits: dict[str, SplitCounts]  # by folder of the output


def add_counts(total: _Total, part: Mapping[str, object]) -> _Total:
    """Add nested counters in place.

    Args:
        total: What to add to: a dictionary of numbers, of lists of numbers, and of such dictionaries.
        part: What to add: numbers add up, lists add element by element, mappings recurse.

    Returns:
        `total`.
    """
    held = cast("dict[str, Any]", total)
    for key, value in part.items():
        if isinstance(value, Mapping):
            add_counts(held.setdefault(key, {}), value)
        elif isinstance(value, list):
            old = held.get(key) or [0] * len(value)
            held[key] = [a + b for a, b in zip(old, value, strict=True)]
        else:
            held[key] = held.get(key, 0) + value
    return total


def largest_sources(sources: Mapping[str, Mapping[str, int]], most: int) -> dict[str, dict[str, int]]:
    """The largest sources, and the others as one: there may be a source for each of a million files.

    Args:
        sources: Counts by source; among them may be `OTHER_SOURCES` already.
        most: Number of sources to count one by one.

    Returns:
        Counts by source, the one with most records first and `OTHER_SOURCES` last. Totals over all of them stay.
    """
    order = sorted(sources, key=lambda name: (name == OTHER_SOURCES, -sources[name].get("in", 0), name))
    shown = {name: dict(sources[name]) for name in order[:most] if name != OTHER_SOURCES}
    others: dict[str, int] = {}
    for name in order[len(shown) :]:
        add_counts(others, {"sources": 1, **sources[name]})
    return {**shown, OTHER_SOURCES: others} if others else shown


def value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Count how often each value occurs. Counts add up over shards.

    Args:
        column: Texts or truth values, counted as they are, or numbers, which are rounded to three digits. Of the texts
            the 200 most frequent are counted, and the others together as `(other)`.

    Returns:
        Counts by value, written as text; missing values and infinite numbers are `(none)`. Empty for other types.
    """
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text_counts(column)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _number_counts(column)
    return {}


def _text_counts(column: pa.ChunkedArray) -> dict[str, int]:
    lower = pa.types.is_boolean(column.type)  # `true`, as JSON writes it
    pairs = sorted(pc.value_counts(column).to_pylist(), key=lambda p: (-p["counts"], str(p["values"])))
    out: dict[str, int] = {}
    for pair in pairs[:_TEXTS]:
        value = pair["values"]
        name = MISSING if value is None else str(value).lower() if lower else str(value)
        out[name] = pair["counts"]
    if len(pairs) > _TEXTS:
        out[OTHER] = out.get(OTHER, 0) + sum(p["counts"] for p in pairs[_TEXTS:])
    return out


def _number_counts(column: pa.ChunkedArray) -> dict[str, int]:
    values = column.drop_null().to_numpy().astype(np.float64)
    finite = values[np.isfinite(values)]
    size = np.floor(np.log10(np.maximum(np.abs(finite), 1e-300)))
    scale = 10.0 ** (2 - size)
    rounded, counts = np.unique(np.where(finite == 0, 0.0, np.round(finite * scale) / scale), return_counts=True)
    out = {f"{v:.4g}": 0 for v in rounded.tolist()}
    for value, count in zip(rounded.tolist(), counts.tolist(), strict=True):
        out[f"{value:.4g}"] += count
    missing = len(column) - len(finite)
    return {**out, **({MISSING: missing} if missing else {})}


def summed_splits(splits: Mapping[str, SplitCounts]) -> dict[str, FolderTotals]:
    """Turn sums of scores into means.

    Args:
        splits: Counts of each folder of a split output, added up over shards.

    Returns:
        The same counts in the order of the folders' names; `mean`, by score column, replaces `scores`.
    """
    out: dict[str, FolderTotals] = {}
    for name, counts in sorted(splits.items()):
        totals: FolderTotals = {"records": counts["records"], "characters": counts["characters"]}
        if "tokens" in counts:
            totals["tokens"] = counts["tokens"]
        scores = sorted(counts["scores"].items())
        totals["mean"] = {column: round(s["sum"] / s["count"], 6) for column, s in scores}
        out[name] = totals
    return out
