"""The stage `cluster`: clusters of records by meaning, each named by the words that set it apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.kmeans import fit_centroids, nearest_centroid
from dedup.verdicts import row_verdicts
from quality.embeddings.keywords import class_keywords
from quality.text.words import segment
from raylib.errors import ParameterError
from raylib.hashing import id_hashes, sampled_rows
from raylib.schema import single_chunk
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
    stage,
    with_columns,
)
from raylib.stage.section import Bar, Bars
from raylib.vectors import embedding_matrix, packed_vectors, unpacked_vectors

__all__ = ["Cluster", "class_keywords", "default_clusters", "drawn_centroids"]

_SHOWN = 40  # clusters that the report draws
_NOTED = 500  # clusters that it counts
_TEXTS = 2000  # texts that are read at once


class _Found(TypedDict, total=False):
    """Notes of the stage: size and topic of the largest clusters."""

    clusters: list[tuple[int, str]]


def drawn_centroids(store: SketchStore, clusters: int, sample: int, seed: int) -> tuple[npt.NDArray[np.float32], int]:
    """Fit centroids on the records with the smallest keys.

    Args:
        store: Sketches with `key` and `vector`.
        clusters: Number of clusters; 0 means `default_clusters`.
        sample: Number of records to fit on.
        seed: Seed of k-means.

    Returns:
        C unit centroids `[C, D]`, and the number of all records.
    """
    drawn, total = sampled_rows(store.tables(), ["vector"], sample)
    if drawn is None:
        return np.zeros((0, 1), np.float32), 0
    wanted = min(clusters or default_clusters(total), max(1, len(drawn) // 5))
    return fit_centroids(unpacked_vectors(drawn["vector"]), wanted, seed), total


def default_clusters(records: int) -> int:
    """Half the square root of the number of records, between 2 and 500: clusters that a person can still look at."""
    return int(np.clip(round(np.sqrt(records) / 2), 2, 500))


@stage("cluster", kind="global")
@dataclass(frozen=True)
class Cluster(GlobalStage):
    """Add `cluster`, the number of the record's cluster, and `topic`, the words that set that cluster apart.

    Needs the column that the stage `embed` adds. Clusters come from mini-batch k-means and are numbered from the
    largest; their keywords from c-TF-IDF.

    Attributes:
        clusters: Number of clusters; 0 means half the square root of the number of records, between 2 and 500.
        column: Column of embeddings.
        sample: Number of records that k-means is fitted on.
        texts: Number of records per cluster that keywords are taken from.
        keywords: Number of keywords per cluster.
        seed: Seed of the sample and of k-means.

    Raises:
        ParameterError: If `clusters` is negative.
    """

    clusters: int = 0
    column: str = "embedding"
    sample: int = 50_000
    texts: int = 200
    keywords: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.clusters < 0:
            raise ParameterError(f"clusters must be 0 or more, is {self.clusters}")

    def sketch(self, table: pa.Table) -> pa.Table:
        """The vector of each record under a hash of its id."""
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(id_hashes(table, self.seed)),
                "vector": packed_vectors(embedding_matrix(table, self.column)),
            }
        )

    # ---- rounds -------------------------------------------------------------------------------

    def rounds(self) -> tuple[Round, ...]:
        """Fit centroids, assign records, find keywords and sizes, number the clusters."""
        return (
            Round("centroids", self._centroids, broadcast=True),
            Round("assign", _assign),
            Round("keywords", self._keywords, broadcast=True),
            Round("names", _names),
        )

    def _centroids(self, store: SketchStore) -> Shuffled:
        """Centroids of a sample."""
        centroids, _ = drawn_centroids(store, self.clusters, self.sample, self.seed)
        return Shuffled(pa.table({"vector": pa.array([c.tobytes() for c in centroids], pa.binary())}))

    def _keywords(self, store: SketchStore) -> Shuffled:
        """Sizes of all clusters, and words of some of their texts: those with the smallest keys."""
        label, node = _labels_and_nodes(store)
        sizes = np.bincount(label)
        order = np.argsort(label, kind="stable")
        starts = np.cumsum(sizes) - sizes
        picked = order[np.arange(len(order)) - np.repeat(starts, sizes) < self.texts]
        names = class_keywords(_word_counts(store, label, node, picked), self.keywords)
        ranked = np.argsort(-sizes, kind="stable")
        ranked = ranked[sizes[ranked] > 0]
        topics = [" ".join(names.get(int(c), [])) for c in ranked]
        table = pa.table(
            {
                "label": pa.array(ranked.astype(np.int32)),
                "topic": pa.array(topics, pa.string()),
                "records": pa.array(sizes[ranked]),
            }
        )
        largest = [[int(sizes[c]), topic] for c, topic in zip(ranked[:_NOTED], topics, strict=False)]
        return Shuffled(table, notes={"clusters": largest})

    # ---- apply --------------------------------------------------------------------------------

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """The function that adds the columns."""
        topics = single_chunk(shared[1]["topic"])

        def add(table: pa.Table, verdicts: pa.Table) -> Outcome:
            if len(table) == 0:
                number, topic = pa.array([], pa.int32()), pa.array([], pa.string())
            else:
                at = row_verdicts(table, verdicts)
                number = single_chunk(verdicts["cluster"].take(pa.array(at)))
                topic = topics.take(number) if len(topics) else pa.nulls(len(table), pa.string())
            return keep_all(with_columns(table, {"cluster": number, "topic": topic}))

        return add

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section:
        """The largest clusters."""
        found = [c for n in cast("Sequence[_Found]", notes) for c in n.get("clusters", [])]
        rows = [Bar(f"{i}: {topic}", size) for i, (size, topic) in enumerate(found[:_SHOWN])]
        title = f"Records of the largest {len(rows)} of {len(found)} clusters"
        return Section("Clusters by meaning", [Bars(title, rows)])


def _assign(store: SketchStore) -> Shuffled:
    """The nearest centroid of each record."""
    shared = next(iter(store.shared()))
    centroids = np.frombuffer(b"".join(shared["vector"].to_pylist()), np.float32).reshape(len(shared), -1)
    parts = []
    for table in store.tables():
        index, _ = nearest_centroid(unpacked_vectors(table["vector"]), centroids)
        parts.append(table.select(["shard", "row", "key"]).append_column("label", pa.array(index.astype(np.int32))))
    return Shuffled(pa.concat_tables(parts))


def _names(store: SketchStore) -> Shuffled:
    """The number of each record's cluster, by size."""
    _, named = store.shared()
    number = np.zeros(int(named["label"].to_numpy().max()) + 1, np.int32)
    number[named["label"].to_numpy()] = np.arange(len(named))
    table = pa.concat_tables(list(store.tables()))
    cluster = pa.array(number[table["label"].to_numpy()])
    return Shuffled(table.select(["shard", "row"]).append_column("cluster", cluster))


def _labels_and_nodes(store: SketchStore) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    """Centroid and node (`shard << 32 | row`) of all N records in order of their keys, each `[N]`."""
    labels, nodes = [np.zeros(0, np.int32)], [np.zeros(0, np.uint64)]
    for table in store.tables():
        labels.append(table["label"].to_numpy())
        shard, row = (table[n].to_numpy().astype(np.uint64) for n in ("shard", "row"))
        nodes.append(shard << np.uint64(32) | row)
    return np.concatenate(labels), np.concatenate(nodes)


def _word_counts(
    store: SketchStore,
    label: npt.NDArray[np.int32],
    node: npt.NDArray[np.uint64],
    picked: npt.NDArray[np.int64],
) -> Mapping[int, Mapping[str, int]]:
    """For each centroid the number of its picked texts that hold a word."""
    counts: dict[int, Counter[str]] = {}
    for begin in range(0, len(picked), _TEXTS):
        part = picked[begin : begin + _TEXTS]
        for at, text in zip(part.tolist(), store.texts(node[part]), strict=True):
            counts.setdefault(int(label[at]), Counter()).update(set(segment(text[:2000])))
    return counts
