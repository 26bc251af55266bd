"""Histograms of score columns, as scored and as kept, for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from raylib.report.counts import MISSING, OTHER
from raylib.stage.section import Histograms

__all__ = ["score_histograms"]


_BINS = 30
_WIDTH = 240.0  # of the drawing
_HEIGHT = 70.0  # of the tallest bar
_BASE = 74  # where bars stand
_TITLE = "Pale: all scored records. Solid: kept records. Hover over a bar to see its numbers."

_Counts = Mapping[str, int]


class _Bar(TypedDict):
    """A bin: place and width, label, counts, and height and top of the pale and of the solid bar."""

    x: float
    w: float
    label: str
    scored: int
    kept: int
    h1: float
    h2: float
    y1: float
    y2: float


@dataclass(frozen=True)
class _Axis:
    """The bins of a histogram: their labels, the bin of each value, and what is written at the ends."""

    labels: Sequence[str]
    place: Mapping[str, int]
    ends: tuple[str, str]


def score_histograms(columns: Mapping[str, Mapping[str, _Counts]]) -> Histograms | None:
    """Draw the columns that stages added.

    Args:
        columns: How often each value of a column occurs, by column, then when it was `scored`, or among `kept` records.

    Returns:
        A histogram for each column with more than one value; None if there is no such column.
    """
    items = [item for name, counts in columns.items() if (item := _histogram(name, counts)) is not None]
    return Histograms(_TITLE, items) if items else None


def _histogram(name: str, counts: Mapping[str, _Counts]) -> Mapping[str, object] | None:
    kept = counts.get("kept", {})
    scored = counts.get("scored", {})
    if not scored or _is_replaced(scored, kept):
        scored = kept
    values = [value for value in {**scored, **kept} if value != MISSING]
    if len(values) < 2:
        return None  # a column with one value has no shape
    axis = _number_axis(values, scored) or _text_axis(values, scored)
    totals = [_binned(part, axis) for part in (scored, kept)]
    missing = scored.get(MISSING, 0)
    note = f"{sum(scored.values()):,} scored, {sum(kept.values()):,} kept"
    note += f", {missing:,} without a value" if missing else ""
    low, high = axis.ends
    return {"name": name, "bars": _bars(axis.labels, *totals), "low": low[:24], "high": high[:24], "note": note}


def _is_replaced(scored: _Counts, kept: _Counts) -> bool:
    """Whether a later stage has put another column in the place of the one that was scored.

    `cluster` after `minhash_dedup: {mark: true}` does. Then kept records have values that were never scored.
    """
    new = [value for value in kept if value not in scored and value not in (MISSING, OTHER)]
    known = [value for value in kept if value in scored and value != MISSING]
    return bool(new) and (OTHER not in scored or not known)


def _number_axis(texts: Sequence[str], scored: _Counts) -> _Axis | None:
    """Bins of equal width, or one for each whole number; None if the values are not numbers."""
    try:
        values = {text: float(text) for text in texts}
    except ValueError:
        return None
    if not all(math.isfinite(v) for v in values.values()):  # texts such as "nan"
        return None
    low, high = _ends(scored, values)
    whole = all(v == int(v) for v in values.values()) and high - low < _BINS
    step = 1.0 if whole else max((high - low) / _BINS, 1e-12)
    bins = round((high - low) / step) + 1 if whole else _BINS
    place = {text: min(max(int((v - low) / step + 1e-9), 0), bins - 1) for text, v in values.items()}
    if whole:
        labels = [f"{low + i * step:.4g}" for i in range(bins)]
    else:
        labels = [f"{low + i * step:.3g} to {low + (i + 1) * step:.3g}" for i in range(bins)]
    return _Axis(labels, place, (f"{low:.4g}", f"{high:.4g}"))


def _text_axis(texts: Sequence[str], scored: _Counts) -> _Axis:
    """A bin for each of the most frequent texts."""
    order = sorted(texts, key=lambda text: (-scored.get(text, 0), text))[:_BINS]
    return _Axis(order, {text: i for i, text in enumerate(order)}, (order[0], order[-1] if len(order) > 1 else ""))


def _ends(counts: _Counts, values: Mapping[str, float]) -> tuple[float, float]:
    """Where a histogram begins and ends: all values but the outermost 0.5 % on each side."""
    ranked = sorted((values[k], n) for k, n in counts.items() if k in values)
    total, below = sum(n for _, n in ranked), 0
    low, high = ranked[0][0], ranked[-1][0]
    for v, n in ranked:
        if below <= 0.005 * total:
            low = v
        if below <= 0.995 * total:
            high = v
        below += n
    return low, high


def _binned(counts: _Counts, axis: _Axis) -> list[int]:
    totals = [0] * len(axis.labels)
    for value, count in counts.items():
        if value in axis.place:
            totals[axis.place[value]] += count
    return totals


def _bars(labels: Sequence[str], scored: Sequence[int], kept: Sequence[int]) -> list[_Bar]:
    top = max(1, *scored, *kept)
    width = _WIDTH / len(labels)
    bars: list[_Bar] = []
    for i, (label, a, b) in enumerate(zip(labels, scored, kept, strict=True)):
        pale, solid = round(_HEIGHT * a / top, 2), round(_HEIGHT * b / top, 2)
        bars.append(
            {
                "x": round(i * width + 0.3, 2),
                "w": round(max(width - 0.6, 0.4), 2),
                "label": label,
                "scored": a,
                "kept": b,
                "h1": pale,
                "h2": solid,
                "y1": _BASE - pale,
                "y2": _BASE - solid,
            }
        )
    return bars
