"""What a deduplication stage shows in the report: cluster sizes, the biggest clusters, sources, accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.clusters import Nodes
from dedup.folding import Level
from dedup.shingles import Unit
from dedup.signatures import true_jaccard
from raylib.stage import Notes, Section, SketchStore
from raylib.stage.section import Bar, Bars, Block, Matrix, PairOfTexts, Pairs, Scatter, Text

__all__ = ["Shingles", "cluster_notes", "cluster_section", "size_bars", "source_matrix"]

_SHOWN = 1500  # characters of a text in the report
_BIGGEST = 20  # clusters whose texts are shown
_MOST_PAIRS = 1000  # of sources that a task counts one by one
_OTHER = "(other pairs)"
_SAMPLED = 200  # pairs whose true similarity is looked up

SampledPair = tuple[int, int, float, int]
"""Node that stayed, node that was removed, estimated similarity, and a random rank."""


class ShownCluster(TypedDict):
    """Facts about one of the biggest clusters; its first node is the one that stayed."""

    size: int
    nodes: list[int]
    similarity: list[float]


class ClusterNotes(TypedDict, total=False):
    """Notes of one task: those of `cluster_notes`, or those of the round that compares candidates."""

    sizes: dict[str, int]
    biggest: list[ShownCluster]
    sources: dict[str, int]
    pairs: list[SampledPair]
    unread: int


@dataclass(frozen=True)
class Shingles:
    """What a shingle is, for true similarities of sampled pairs.

    Attributes:
        ngram: Number of tokens of a shingle.
        unit: Whether tokens are folded characters or words.
        level: How much of the texts is ignored.
    """

    ngram: int
    unit: Unit
    level: Level = "standard"


def cluster_notes(
    node: Nodes,
    source: Sequence[str],
    keeper: npt.NDArray[np.int64],
    similarity: npt.NDArray[np.floating],
    digits: int = 3,
) -> ClusterNotes:
    """Notes of one task about its clusters: sizes, the biggest ones, sources of what stayed and what was removed.

    Args:
        node: Positions of the records, [N]; the record that stays is the first of its cluster.
        source: Sources of the records, N of them.
        keeper: Row of the record that stays of each record's cluster (its own row for that one), [N].
        similarity: Similarity to the record that stays, [N].
        digits: Number of digits of a similarity.
    """
    rows = np.arange(len(keeper))
    sizes = np.bincount(keeper, minlength=len(keeper))
    heads = np.flatnonzero((keeper == rows) & (sizes > 1))
    counts = np.unique(sizes[heads], return_counts=True)
    biggest: list[ShownCluster] = []
    for head in heads[np.argsort(-sizes[heads], kind="stable")][:_BIGGEST].tolist():
        shown = np.flatnonzero(keeper == head)[:4]
        values = [round(float(v), digits) for v in similarity[shown]]
        biggest.append({"size": int(sizes[head]), "nodes": node[shown].tolist(), "similarity": values})
    removed = np.flatnonzero(keeper != rows).tolist()
    return {
        "sizes": {str(size): int(count) for size, count in zip(*counts, strict=True)},
        "biggest": biggest,
        "sources": _counted_pairs(Counter(f"{source[keeper[row]]}\t{source[row]}" for row in removed)),
    }


def _counted_pairs(pairs: Counter[str]) -> dict[str, int]:
    """The most frequent pairs of sources; the others count as one, because there may be a source for each file."""
    if len(pairs) <= _MOST_PAIRS:
        return dict(pairs)
    first = dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_MOST_PAIRS])
    return {**first, _OTHER: pairs.total() - sum(first.values())}


def size_bars(sizes: Mapping[str, int]) -> Bars:
    """A histogram of cluster sizes in steps of powers of two.

    Args:
        sizes: Number of clusters of each size.
    """
    clusters: Counter[int] = Counter()
    records: Counter[int] = Counter()
    for size, count in sizes.items():
        step = int(size).bit_length() - 1
        clusters[step] += count
        records[step] += count * int(size)
    bars = [
        Bar(f"{1 << k}–{(2 << k) - 1}" if k else "1", clusters[k], f"{records[k]:,} records") for k in sorted(clusters)
    ]
    return Bars("Clusters by size", bars)


def source_matrix(pairs: Mapping[str, int], most: int = 20) -> Matrix:
    """Duplicates between sources. Rows: source of the record that stayed; columns: source of the one removed.

    Args:
        pairs: Number of duplicates by `stayed<tab>removed`.
        most: Number of sources to show, the most frequent first.
    """
    weight: Counter[str] = Counter()
    for key, count in pairs.items():
        for name in key.split("\t") if key != _OTHER else ():
            weight[name] += count
    names = sorted(weight, key=lambda n: (-weight[n], n))[:most]
    values = [[pairs.get(f"{a}\t{b}", 0) for b in names] for a in names]
    return Matrix("Duplicates between sources (row: stayed, column: removed)", names, values)


@dataclass
class _Merged:
    """The notes of all tasks as one; the order of the tasks does not matter."""

    sizes: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    biggest: list[ShownCluster] = field(default_factory=list)
    pairs: list[SampledPair] = field(default_factory=list)
    unread: int = 0

    @classmethod
    def of(cls, notes: Sequence[Notes]) -> _Merged:
        merged = cls()
        for note in cast("Sequence[ClusterNotes]", notes):
            merged.sizes.update(note.get("sizes", {}))
            merged.sources.update(note.get("sources", {}))
            merged.biggest += note.get("biggest", [])
            merged.pairs += note.get("pairs", [])
            merged.unread += note.get("unread", 0)
        merged.biggest = sorted(merged.biggest, key=lambda c: (-c["size"], c["nodes"]))[:_BIGGEST]
        merged.pairs = sorted(merged.pairs, key=lambda p: (p[3], p[1]))[:_SAMPLED]
        return merged

    def texts(self, store: SketchStore) -> dict[int, str]:
        """Texts of all records that are shown, by node."""
        nodes = {n for c in self.biggest for n in c["nodes"]} | {n for p in self.pairs for n in p[:2]}
        order = np.array(sorted(nodes), np.uint64)
        return dict(zip(order.tolist(), store.texts(order), strict=True)) if len(order) else {}


def cluster_section(
    title: str,
    notes: Sequence[Notes],
    store: SketchStore,
    *,
    digits: int = 2,
    giant: int | None = None,
    shingles: Shingles | None = None,
) -> Section:
    """Cluster sizes, the biggest clusters with their differences, sources, estimated against true similarity.

    Args:
        title: Title of the section.
        notes: Notes of all tasks.
        store: Texts of all records.
        digits: Number of digits of a similarity.
        giant: Number of records from which a larger cluster is warned about; None for no warning.
        shingles: What a shingle is, if the similarities of sampled pairs are estimated Jaccard similarities.
    """
    merged = _Merged.of(notes)
    texts = merged.texts(store)
    removed = sum((int(size) - 1) * count for size, count in merged.sizes.items())
    blocks: list[Block] = [
        Text(f"{sum(merged.sizes.values()):,} clusters, {removed:,} records removed."),
        size_bars(merged.sizes),
        *_warnings(merged, giant),
    ]
    if merged.sources:
        blocks.append(source_matrix(merged.sources))
        if merged.sources[_OTHER]:
            blocks.append(Text(f"{merged.sources[_OTHER]:,} more duplicates are between rarer pairs of sources."))
    if merged.pairs and shingles is not None:
        blocks.append(_accuracy(shingles, merged.pairs, texts))
    blocks.append(_biggest_clusters(merged.biggest, texts, digits))
    return Section(title, blocks)


def _warnings(merged: _Merged, giant: int | None) -> list[Text]:
    warnings = []
    giants = [c for c in merged.biggest if giant is not None and c["size"] > giant]
    if giants:
        text = (
            f"{len(giants)} clusters of over {giant:,} records: template pages, or copies of one text. "
            "Look at their samples below; `verify: jaccard` compares true shingle sets in place of estimates."
        )
        warnings.append(Text(text, warning=True))
    if merged.unread:
        warnings.append(Text(f"{merged.unread:,} members of very large buckets were not compared.", warning=True))
    return warnings


def _biggest_clusters(biggest: Sequence[ShownCluster], texts: Mapping[int, str], digits: int) -> Pairs:
    items = [
        PairOfTexts(
            header=f"cluster of {c['size']:,}, similarity {similarity:.{digits}f}",
            before=texts[c["nodes"][0]][:_SHOWN],
            after=texts[node][:_SHOWN],
        )
        for c in biggest
        for node, similarity in zip(c["nodes"][1:3], c["similarity"][1:3], strict=True)
    ]
    return Pairs("The biggest clusters: what stayed against what was removed", items)


def _accuracy(shingles: Shingles, pairs: Sequence[SampledPair], texts: Mapping[int, str]) -> Scatter:
    stayed, removed = [texts[p[0]] for p in pairs], [texts[p[1]] for p in pairs]
    flat = pa.array(stayed + removed, pa.large_string())
    left = np.arange(len(pairs))
    true = true_jaccard(flat, left, left + len(pairs), ngram=shingles.ngram, unit=shingles.unit, level=shingles.level)
    estimated = np.array([p[2] for p in pairs])
    error = float(np.abs(true - estimated).mean())
    points = [[round(float(t), 4), round(float(e), 4)] for t, e in zip(true, estimated, strict=True)]
    title = f"Estimated against true Jaccard, {len(pairs)} sampled pairs, mean error {error:.3f}"
    return Scatter(title, "true", "estimated", points)
