"""What a selection did, in the report: diversity in numbers, maps of all candidates and of those chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality.embeddings.metrics import SetMetrics, metrics_of
from quality.embeddings.tsne import project
from raylib.stage import Notes, Section, SketchStore
from raylib.stage.section import Block, Maps, Table, Text

__all__ = ["SelectionNotes", "metric_table", "quartiles_of", "selection_section", "set_notes"]

Rows = npt.NDArray[np.int64]
_MAP = 3000  # points of the maps
_TEXT = 160  # characters of a text on the maps
_METRICS = {
    "nearest_neighbour_distance": "mean distance to the nearest neighbour (1 - cosine)",
    "cluster_entropy": "cluster entropy (1: all clusters equally large)",
    "vendi_score": "Vendi score (effective number of different records)",
}


class MapNotes(TypedDict):
    """Points of a map: places, sources, whether each was selected, and texts."""

    x: list[float]
    y: list[float]
    source: list[str]
    selected: list[bool]
    text: list[str]


class SelectionNotes(TypedDict, total=False):
    """Notes of the stage `select`."""

    metrics: dict[str, SetMetrics]  # of candidates, selected and random ones
    map: MapNotes
    scores: dict[str, list[float]]  # mean and quartiles of candidates and selected ones
    too_close: int  # records that were passed over
    wanted: int  # records to keep


def set_notes(
    table: pa.Table,
    vectors: npt.NDArray[np.float16],
    labels: Rows,
    rows: Rows,
    store: SketchStore,
    seed: int,
    maps: bool,
) -> SelectionNotes:
    """Compare a selection with all candidates and with a random selection of the same size.

    Args:
        table: N candidates in order of a hash.
        vectors: Their vectors `[N, D]`.
        labels: Their clusters `[N]`.
        rows: Positions that were selected.
        store: Texts of all records.
        seed: Seed of the random selection, the metrics and the map.
        maps: Whether points of a map are wanted.

    Returns:
        Metrics of the three sets, and perhaps a map.
    """
    clusters = int(labels.max(initial=0)) + 1
    random = np.sort(np.random.default_rng(seed).choice(len(vectors), len(rows), replace=False))
    parts = {"candidates": np.arange(len(vectors)), "selected": np.sort(rows), "random": random}
    metrics = {n: metrics_of(vectors[part], labels[part], clusters, seed=seed) for n, part in parts.items()}
    notes: SelectionNotes = {"metrics": metrics}
    if maps:
        notes["map"] = _map(table, vectors, rows, store, seed)
    return notes


def _map(table: pa.Table, vectors: npt.NDArray[np.float16], rows: Rows, store: SketchStore, seed: int) -> MapNotes:
    """A map of a random sample of candidates: the first ones, since they are in order of a hash."""
    drawn = np.arange(min(_MAP, len(table)))
    places = project(vectors[drawn].astype(np.float32), seed=seed, threads=1)
    part = table.take(pa.array(drawn))
    shard, row = (part[n].to_numpy().astype(np.uint64) for n in ("shard", "row"))
    texts = store.texts(shard << np.uint64(32) | row)
    return {
        "x": np.round(places[:, 0], 3).tolist(),
        "y": np.round(places[:, 1], 3).tolist(),
        "source": part["source"].to_pylist(),
        "selected": np.isin(drawn, rows).tolist(),
        "text": [t[:_TEXT] for t in texts],
    }


def quartiles_of(score: npt.NDArray[np.float64], rows: Rows) -> dict[str, list[float]]:
    """Mean and quartiles of the scores `[N]` of all candidates and of those selected."""
    out = {}
    for name, values in (("candidates", score), ("selected", score[rows])):
        finite = values[np.isfinite(values)]
        if len(finite):
            quartiles = np.quantile(finite, [0.25, 0.5, 0.75])
            out[name] = [round(float(v), 4) for v in (finite.mean(), *quartiles)]
    return out


def metric_table(metrics: Mapping[str, SetMetrics], title: str) -> Table:
    """Show sets side by side: one column per set, one row per metric."""
    sets = list(metrics.values())
    rows = [["records", *(f"{m['records']:,}" for m in sets)]]
    for key, words in _METRICS.items():
        rows.append([words, *(f"{cast('Mapping[str, float]', m)[key]:,}" for m in sets)])
    return Table(title, ["", *metrics], rows)


def selection_section(notes: Sequence[Notes], by: str, max_cosine: float | None) -> Section:
    """Make the section of the stage `select`.

    Args:
        notes: Notes of its rounds.
        by: Its parameter `by`.
        max_cosine: Cosine from which records were passed over; None if the method does not pass any over.

    Returns:
        The section.
    """
    nothing: SelectionNotes = {}
    note = next((n for n in cast("Sequence[SelectionNotes]", notes) if "wanted" in n), nothing)
    blocks: list[Block] = []
    if "metrics" in note:
        title = "Diversity of all candidates, of the selection, and of a random selection of the same size"
        blocks.append(metric_table(note["metrics"], title))
    if note.get("scores"):
        rows = [[name, *(f"{v:g}" for v in values)] for name, values in note["scores"].items()]
        head = ["", "mean", "lower quartile", "median", "upper quartile"]
        blocks.append(Table(f"{by} before and after", head, rows))
    if max_cosine is not None:
        passed = f"{note.get('too_close', 0):,} better-scored records were passed over"
        blocks.append(Text(f"{passed}: a record with a cosine of {max_cosine} or more had been taken before."))
    if "map" in note:
        blocks.append(_drawn(note["map"]))
    return Section("Selection", blocks)


def _drawn(drawn: MapNotes) -> Maps:
    """The maps of all candidates and of those selected."""
    sources = sorted(set(drawn["source"]), key=lambda s: (-drawn["source"].count(s), s))
    columns = zip(drawn["x"], drawn["y"], drawn["source"], drawn["selected"], drawn["text"], strict=True)
    points = [(x, y, sources.index(s), bool(k), t) for x, y, s, k, t in columns]
    title = f"t-SNE of {len(points):,} records drawn at random: all of them, and those that were selected"
    return Maps(title, sources, points, ["before", "after"])
