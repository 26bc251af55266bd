"""Semantic deduplication (SemDeDup, Abbas et al. 2023): k-means over embeddings, then cosine inside clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.clusters import nodes_of
from dedup.kmeans import fit_centroids, nearest_centroid
from dedup.sameness import label_codes
from dedup.section import ClusterNotes, cluster_notes, cluster_section
from dedup.verdicts import priority_columns, shown_digits, verdict_places
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
    split_rejected,
    stage,
)
from raylib.vectors import embedding_matrix, packed_vectors, unpacked_vectors

__all__ = ["SemanticDedup", "duplicates_in_cluster"]

_BLOCK = 1024  # rows of a similarity block: memory grows with the block, not with the square of a cluster
_KEYS = 1 << 64


def duplicates_in_cluster(
    vectors: npt.NDArray[np.float32], threshold: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Duplicates among vectors in order of preference.

    A vector is a duplicate if its cosine to some earlier one that stays is at least `threshold`; it points at the first
    such one. What is only similar to vectors that are removed themselves stays.

    Args:
        vectors: Unit vectors, [N, D].
        threshold: Least cosine of duplicates.

    Returns:
        Position of the vector that each one duplicates, or -1 [N], and its cosine to that one, or 0 [N].
    """
    count = len(vectors)
    parent = np.full(count, -1, np.int64)
    similarity = np.zeros(count)
    stays = np.zeros(0, np.int64)
    for begin in range(0, count, _BLOCK):
        block = vectors[begin : begin + _BLOCK]
        mine = np.full(len(block), -1, np.int64)
        value = np.zeros(len(block))
        for first in range(0, len(stays), _BLOCK):
            _point(block, vectors, stays[first : first + _BLOCK], threshold, mine, value)
        inner = np.tril((block @ block.T).astype(np.float64), -1)
        close = (inner >= threshold) & (mine < 0)[:, None]
        for row in np.flatnonzero(close.any(axis=1)).tolist():
            near = np.flatnonzero(close[row] & (mine < 0))  # earlier rows that stay
            if len(near):
                mine[row], value[row] = begin + near[0], inner[row, near[0]]
        parent[begin : begin + len(block)], similarity[begin : begin + len(block)] = mine, value
        stays = np.concatenate([stays, begin + np.flatnonzero(mine < 0)])
    return parent, similarity


def _point(
    block: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
    stays: npt.NDArray[np.int64],
    threshold: float,
    mine: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
) -> None:
    """Point the vectors of a block that point nowhere yet at the first similar one of those that stay."""
    scores = (block @ vectors[stays].T).astype(np.float64)
    near = scores >= threshold
    at = near.argmax(axis=1)
    rows = np.flatnonzero(near.any(axis=1) & (mine < 0))
    mine[rows], value[rows] = stays[at[rows]], scores[rows, at[rows]]


@stage("semantic_dedup", kind="global", reason="semantic_duplicate")
@dataclass(frozen=True)
class SemanticDedup(GlobalStage):
    """Keep one record of those that mean the same: cosine of embeddings at least `threshold` within a cluster.

    Needs the column that the stage `embed` adds. Records are cut into clusters by mini-batch k-means, and only records
    of a cluster are compared. In order of preference each is compared with those that stay so far, and removed if it is
    similar to one; so every removed record is similar to one that stays. Among equals, the smallest id stays. With the
    built-in embedding, a text and a copy with a tenth of its characters changed have a cosine of 0.95. Feedback of
    different labels is not compared.

    Attributes:
        threshold: Least cosine of duplicates, over 0 up to 1.
        clusters: Number of clusters; 0 makes one for every 500 records.
        keep: Whether the record farthest from the centroid stays (`far`, as in SemDeDup) or the nearest one (`near`).
        priority: What decides who stays in place of `keep`, in order: `longest`, `shortest`, `column`, `-column` or
            `source:a,b,c`.
        column: Column of the embeddings.
        sample: Number of records that the clusters are fitted on.
        seed: Seed of the sample and of the first centroids.
    """

    threshold: float = 0.95
    clusters: int = 0
    keep: Literal["far", "near"] = "far"
    priority: tuple[str, ...] = ()
    column: str = "embedding"
    sample: int = 50_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise ParameterError(f"threshold must lie in (0, 1], is {self.threshold}")

    def sketch(self, table: pa.Table) -> pa.Table:
        """The vector, id, source and priorities of each record, under a random key."""
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(id_hashes(table, self.seed)),
                "vector": packed_vectors(embedding_matrix(table, self.column)),
                "id": table["id"],
                "source": table["source"],
                "label": pa.array(label_codes(table)),
                **priority_columns(table, self.priority),
            }
        )

    def rounds(self) -> tuple[Round, ...]:
        """Fit centroids to a sample, assign records to them, and compare the records of each cluster."""
        return (
            Round("centroids", self._centroids, broadcast=True),
            Round("assign", _assign),
            Round("compare", self._compare),
        )

    def _centroids(self, store: SketchStore) -> Shuffled:
        drawn, total = sampled_rows(store.tables(), ["vector"], self.sample)
        if drawn is None:
            return Shuffled(pa.table({"centroid": pa.array([], pa.binary())}))
        wanted = self.clusters or max(1, total // 500)
        vectors = unpacked_vectors(drawn["vector"])
        centroids = fit_centroids(vectors, min(wanted, max(1, len(drawn) // 10)), self.seed)
        return Shuffled(pa.table({"centroid": pa.array([row.tobytes() for row in centroids], pa.binary())}))

    def _compare(self, store: SketchStore) -> Shuffled:
        table = pa.concat_tables(list(store.tables()))
        order = pc.sort_indices(self._preferences(table), sort_keys=self._sort_keys())
        table = table.take(order).combine_chunks()
        key, label = table["key"].to_numpy(), table["label"].to_numpy()
        opens = (key[1:] != key[:-1]) | (label[1:] != label[:-1])
        borders = np.flatnonzero(np.concatenate([[True], opens, [True]]))
        parent = np.full(len(table), -1, np.int64)
        similarity = np.zeros(len(table))
        for first, last in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            vectors = unpacked_vectors(table["vector"].slice(first, last - first))
            found, value = duplicates_in_cluster(vectors, self.threshold)
            parent[first:last] = np.where(found >= 0, found + first, -1)
            similarity[first:last] = value
        gone = np.flatnonzero(parent >= 0)
        verdicts = table.select(["shard", "row"]).take(pa.array(gone))
        verdicts = verdicts.append_column("duplicate_of", table["id"].take(pa.array(parent[gone])))
        verdicts = verdicts.append_column("similarity", pa.array(similarity[gone]))
        return Shuffled(verdicts, notes=_notes(table, parent, similarity, shown_digits(self.threshold, 3)))

    def _preferences(self, table: pa.Table) -> pa.Table:
        """What decides the order of records within a cluster."""
        if self.priority:
            ranks = {name: table[name] for name in self._rank_names()}
        else:
            cosine = table["cosine"].to_numpy()
            ranks = {"distance": pa.array(cosine if self.keep == "far" else -cosine)}
        groups = {name: table[name] for name in ("key", "label")}
        return pa.table({**groups, **ranks, "id": table["id"], "shard": table["shard"], "row": table["row"]})

    def _rank_names(self) -> list[str]:
        return [f"priority_{i}" for i in range(len(self.priority))] if self.priority else ["distance"]

    def _sort_keys(self) -> list[tuple[str, str]]:
        return [(name, "ascending") for name in ("key", "label", *self._rank_names(), "id", "shard", "row")]

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """Reject the records that mean the same as another one."""
        return partial(_reject_duplicates, digits=shown_digits(self.threshold, 3))

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section:
        """Clusters of duplicates."""
        return cluster_section("Semantic duplicates", notes, store, digits=shown_digits(self.threshold, 2))


def _assign(store: SketchStore) -> Shuffled:
    """Records under the key of their centroid, with their cosine to it."""
    shared = next(iter(store.shared()))
    centroids = np.frombuffer(b"".join(shared["centroid"].to_pylist()), np.float32).reshape(len(shared), -1)
    step = min(_KEYS // len(centroids), _KEYS - 1)
    parts = []
    for table in store.tables():
        index, cosine = nearest_centroid(unpacked_vectors(table["vector"]), centroids)
        key = index.astype(np.uint64) * np.uint64(step)  # equal for a whole cluster, so no range cuts one
        table = table.drop_columns(["key"]).append_column("key", pa.array(key))
        parts.append(table.append_column("cosine", pa.array(cosine)))
    return Shuffled(pa.concat_tables(parts))


def _reject_duplicates(table: pa.Table, verdicts: pa.Table, digits: int) -> Outcome:
    if len(verdicts) == 0:
        return keep_all(table)
    places = verdict_places(table, verdicts)
    rounded = pc.round(verdicts["similarity"], digits).cast(pa.string())
    words = pc.binary_join_element_wise("means the same as ", verdicts["duplicate_of"], ", cosine ", rounded, "")
    detail = single_chunk(words.take(places))
    return split_rejected(table, places.is_valid(), stage="semantic_dedup", reason="semantic_duplicate", detail=detail)


def _notes(
    table: pa.Table, parent: npt.NDArray[np.int64], similarity: npt.NDArray[np.float64], digits: int
) -> ClusterNotes:
    keeper = np.where(parent >= 0, parent, np.arange(len(parent)))
    node = nodes_of(table["shard"].to_numpy(), table["row"].to_numpy())
    return cluster_notes(node, table["source"].to_pylist(), keeper, np.where(parent >= 0, similarity, 1.0), digits)
