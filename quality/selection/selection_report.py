"""What a selection did, as blocks of the report: diversity in numbers, maps of all candidates and of those chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["metric_table", "selection_section"]


_METRICS = {
    "nearest_neighbour_distance": "mean distance to the nearest neighbour (1 - cosine)",
    "cluster_entropy": "cluster entropy (1: all clusters equally large)",
    "vendi_score": "Vendi score (effective number of different records)",
}


def metric_table(metrics: Mapping[str, Mapping[str, Any]], title: str) -> dict[str, Any]:
    """Sets side by side: one column a set, one row a metric."""
    names = list(metrics)
    rows = [["records", *(f"{metrics[n]['records']:,}" for n in names)]]
    for key, words in _METRICS.items():
        rows.append([words, *(f"{metrics[n][key]:,}" for n in names)])
    return {"kind": "table", "title": title, "head": ["", *names], "rows": rows}


def selection_section(stage: Any, notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The section of the stage `select`."""
    note = next((n for n in notes if "wanted" in n), {})
    blocks: list[dict[str, Any]] = []
    if "metrics" in note:
        title = "Diversity of all candidates, of the selection, and of a random selection of the same size"
        blocks.append(metric_table(note["metrics"], title))
    if note.get("scores"):
        rows = [[name, *(f"{v:g}" for v in values)] for name, values in note["scores"].items()]
        head = ["", "mean", "lower quartile", "median", "upper quartile"]
        blocks.append({"kind": "table", "title": f"{stage.by} before and after", "head": head, "rows": rows})
    if stage.method == "deita":
        words = f"{note.get('too_close', 0):,} better-scored records were passed over: a record with a cosine of {stage.max_cosine} or more had been taken before."  # fmt: skip
        blocks.append({"kind": "text", "text": words})
    if "map" in note:
        drawn = note["map"]
        sources = sorted(set(drawn["source"]), key=lambda s: (-drawn["source"].count(s), s))
        points = [
            [x, y, sources.index(s), bool(k), t]
            for x, y, s, k, t in zip(drawn["x"], drawn["y"], drawn["source"], drawn["selected"], drawn["text"], strict=True)
        ]  # fmt: skip
        title = f"t-SNE of {len(points):,} records drawn at random: all of them, and those that were selected"
        blocks.append({"kind": "maps", "title": title, "names": sources, "points": points, "panels": ["before", "after"]})  # fmt: skip
    return {"title": "Selection", "blocks": blocks}
