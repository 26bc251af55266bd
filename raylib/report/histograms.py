"""Histograms of score columns, before and after a run, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["score_histograms"]


def score_histograms(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Histograms of the columns that stages added: when they were added, and of the kept records."""
    items = [i for name, counts in summary.get("columns", {}).items() if (i := _column(name, counts)) is not None]
    if not items:
        return None
    title = "Pale: as scored. Solid: kept. Hover for numbers."
    return {"name": "columns", "title": "Scores", "blocks": [{"kind": "histograms", "title": title, "items_": items}]}


def _column(name: str, counts: Mapping[str, Mapping[str, int]], bins: int = 30) -> dict[str, Any] | None:
    scored, kept = counts.get("scored", {}), counts.get("kept", {})
    scored = scored or kept
    keys = [k for k in {**scored, **kept} if k != "(none)"]
    if len(keys) < 2:
        return None  # a column with one value has no shape
    try:
        values = {k: float(k) for k in keys}
        low, high = _ends(scored or kept, values)
        whole = all(v == int(v) for v in values.values()) and high - low < bins
        step = 1.0 if whole else max((high - low) / bins, 1e-12)
        classes = round((high - low) / step) + 1 if whole else bins
        place = {k: min(max(int((v - low) / step + 1e-9), 0), classes - 1) for k, v in values.items()}
        labels = [f"{low + i * step:.4g}" if whole else f"{low + i * step:.3g} to {low + (i + 1) * step:.3g}" for i in range(classes)]  # fmt: skip
        ends = (f"{low:.4g}", f"{high:.4g}")
    except ValueError:
        order = sorted(keys, key=lambda k: (-scored.get(k, 0), k))[:bins]
        place = {k: i for i, k in enumerate(order)}
        labels, classes = order, len(order)
        ends = (order[0], order[-1] if len(order) > 1 else "")
    totals = [[0] * classes, [0] * classes]
    for total, part in zip(totals, (scored, kept), strict=True):
        for key, count in part.items():
            if key in place:
                total[place[key]] += count
    top = max(1, *totals[0], *totals[1])
    width = 240 / classes
    bars = []
    for i, (a, b) in enumerate(zip(*totals, strict=True)):
        tall = [round(70 * v / top, 2) for v in (a, b)]
        bars.append({"x": round(i * width + 0.3, 2), "w": round(max(width - 0.6, 0.4), 2), "label": labels[i], "scored": a, "kept": b, "h1": tall[0], "h2": tall[1], "y1": 74 - tall[0], "y2": 74 - tall[1]})  # fmt: skip
    missing = scored.get("(none)", 0)
    note = f"{sum(scored.values()):,} scored, {sum(kept.values()):,} kept" + (f", {missing:,} without" if missing else "")  # fmt: skip
    return {"name": name, "bars": bars, "low": ends[0][:24], "high": ends[1][:24], "note": note}


def _ends(counts: Mapping[str, int], values: Mapping[str, float]) -> tuple[float, float]:
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
