"""What a deduplication stage shows in the report, as blocks that the report knows how to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raylib.stage import SketchStore

__all__ = ["cluster_notes", "cluster_section", "size_bars", "source_matrix"]

_SHOWN = 1500  # characters of a text in the report


def cluster_notes(node: Any, source: Sequence[str], keeper: Any, similarity: Any) -> dict[str, Any]:
    """Notes of one task about its clusters: sizes, the biggest ones, sources of what stayed and what was removed.

    keeper: for each record the row of the one that stays of its cluster, itself for that one; a cluster's first row.
    """
    rows = np.arange(len(keeper))
    sizes = np.bincount(keeper, minlength=len(keeper))
    heads = np.flatnonzero((keeper == rows) & (sizes > 1))
    counts = np.unique(sizes[heads], return_counts=True)
    biggest = []
    for head in heads[np.argsort(-sizes[heads], kind="stable")][:20].tolist():
        shown = np.flatnonzero(keeper == head)[:4]
        values = [round(float(v), 3) for v in similarity[shown]]
        biggest.append({"size": int(sizes[head]), "nodes": node[shown].tolist(), "similarity": values})
    sources: dict[str, int] = {}
    for row in np.flatnonzero(keeper != rows).tolist():
        pair = f"{source[keeper[row]]}\t{source[row]}"
        sources[pair] = sources.get(pair, 0) + 1
    return {
        "sizes": {str(size): int(count) for size, count in zip(*counts, strict=True)},
        "biggest": biggest,
        "sources": sources,
    }


def size_bars(sizes: Mapping[str, int]) -> dict[str, Any]:
    """A histogram of cluster sizes in steps of powers of two."""
    steps: dict[int, list[int]] = {}
    for size, count in sizes.items():
        steps.setdefault(int(size).bit_length() - 1, [0, 0])
        steps[int(size).bit_length() - 1][0] += count
        steps[int(size).bit_length() - 1][1] += count * int(size)
    rows = [
        {"label": f"{1 << k}–{(2 << k) - 1}" if k else "1", "value": n, "note": f"{records:,} records"}
        for k, (n, records) in sorted(steps.items())
    ]
    return {"kind": "bars", "title": "Clusters by size", "rows": rows}


def source_matrix(pairs: Mapping[str, int], most: int = 20) -> dict[str, Any]:
    """Rows: source of the record that stayed; columns: source of the one removed."""
    weight: dict[str, int] = {}
    for key, count in pairs.items():
        for name in key.split("\t"):
            weight[name] = weight.get(name, 0) + count
    names = sorted(weight, key=lambda n: (-weight[n], n))[:most]
    values = [[pairs.get(f"{a}\t{b}", 0) for b in names] for a in names]
    return {"kind": "matrix", "title": "Duplicates between sources (row: stayed, column: removed)", "names": names, "values": values}  # fmt: skip


def merged_notes(notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The notes of all tasks of the last round as one; the order of the tasks does not matter."""
    sizes: dict[str, int] = {}
    sources: dict[str, int] = {}
    biggest: list[dict[str, Any]] = []
    pairs: list[list[Any]] = []
    for note in notes:
        for size, count in note.get("sizes", {}).items():
            sizes[size] = sizes.get(size, 0) + count
        for pair, count in note.get("sources", {}).items():
            sources[pair] = sources.get(pair, 0) + count
        biggest += note.get("biggest", [])
        pairs += note.get("pairs", [])
    biggest = sorted(biggest, key=lambda c: (-c["size"], c["nodes"]))[:20]
    pairs = sorted(pairs, key=lambda p: (p[3], p[1]))[:200]
    return {"sizes": sizes, "sources": sources, "biggest": biggest, "pairs": pairs}


def cluster_section(stage: Any, notes: Sequence[Mapping[str, Any]], store: SketchStore) -> dict[str, Any]:
    """Cluster sizes, the biggest clusters with their differences, sources, estimated against true similarity."""
    merged = merged_notes(notes)
    nodes = {n for c in merged["biggest"] for n in c["nodes"]} | {n for p in merged["pairs"] for n in p[:2]}
    order = np.array(sorted(nodes), np.uint64)
    texts = dict(zip(order.tolist(), store.texts(order), strict=True)) if len(order) else {}
    clusters = len(merged["sizes"]) and sum(merged["sizes"].values())
    removed = sum((int(size) - 1) * count for size, count in merged["sizes"].items())
    blocks: list[dict[str, Any]] = [
        {"kind": "text", "text": f"{clusters:,} clusters, {removed:,} records removed."},
        size_bars(merged["sizes"]),
    ]
    giants = [c for c in merged["biggest"] if c["size"] > getattr(stage, "giant", 1 << 60)]
    if giants:
        blocks.append(
            {
                "kind": "text",
                "warning": True,
                "text": f"{len(giants)} clusters of over {stage.giant:,} records: template pages, or chains of edits. "
                "Look at their samples below; `verify: jaccard` compares true shingle sets, `split: all` asks every "
                "removed record to be similar to the one that stays.",
            }
        )
    unread = sum(n.get("unread", 0) for n in notes)
    if unread:
        blocks.append(
            {"kind": "text", "warning": True, "text": f"{unread:,} members of very large buckets were not compared."}
        )
    if merged["sources"]:
        blocks.append(source_matrix(merged["sources"]))
    if merged["pairs"] and hasattr(stage, "ngram"):
        blocks.append(_accuracy(stage, merged["pairs"], texts))
    items = [
        {
            "header": f"cluster of {c['size']:,}, similarity {similarity:.2f}",
            "before": texts[c["nodes"][0]][:_SHOWN],
            "after": texts[node][:_SHOWN],
        }
        for c in merged["biggest"]
        for node, similarity in zip(c["nodes"][1:3], c["similarity"][1:3], strict=True)
    ]
    blocks.append({"kind": "pairs", "title": "The biggest clusters: what stayed against what was removed", "items": items})  # fmt: skip
    return {"title": "Near duplicates", "blocks": blocks}


def _accuracy(stage: Any, pairs: Sequence[Sequence[Any]], texts: Mapping[int, str]) -> dict[str, Any]:
    from dedup.signatures import true_jaccard

    flat = pa.array([texts[p[side]] for side in (0, 1) for p in pairs], pa.large_string())
    left = np.arange(len(pairs))
    true = true_jaccard(flat, left, left + len(pairs), ngram=stage.ngram, unit=stage.unit)
    estimated = np.array([p[2] for p in pairs])
    error = float(np.abs(true - estimated).mean())
    points = [[round(float(t), 4), round(float(e), 4)] for t, e in zip(true, estimated, strict=True)]
    title = f"Estimated against true Jaccard, {len(pairs)} sampled pairs, mean error {error:.3f}"
    return {"kind": "scatter", "title": title, "x": "true", "y": "estimated", "points": points}
