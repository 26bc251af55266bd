"""Semantic deduplication (SemDeDup, Abbas et al. 2023): k-means over embeddings, then cosine inside clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.kmeans import Matrix, fit_centroids, nearest_centroid
from dedup.verdicts import priority_column, row_verdicts
from raylib.hashing import id_hashes
from raylib.schema import single_chunk
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, keep_all, register, split_rejected

__all__ = ["SemanticDedup", "duplicates_in_cluster"]


_BLOCK = 1024  # rows of a similarity block: memory grows with the block, not with the square of a cluster
_KEYS = 1 << 64


def duplicates_in_cluster(vectors: Matrix, threshold: float) -> tuple[Matrix, Matrix]:
    """For unit vectors in order of preference: index of the record each one duplicates, or -1, and the similarity.

    A vector is a duplicate when its cosine to some earlier one is at least `threshold`; it points at the
    one that stays at the end of that chain.
    """
    count = len(vectors)
    parent = np.full(count, -1, np.int64)
    similarity = np.zeros(count, np.float32)
    for begin in range(0, count, _BLOCK):
        block = vectors[begin : begin + _BLOCK]
        scores = block @ vectors[: begin + len(block)].T
        rows = np.arange(len(block))
        scores[rows[:, None] + begin <= np.arange(scores.shape[1])[None, :]] = -2.0
        best = scores.argmax(axis=1) if scores.shape[1] else rows
        value = scores[rows, best]
        hit = value >= threshold
        parent[begin : begin + len(block)][hit] = best[hit]
        similarity[begin : begin + len(block)] = value
    for row in np.flatnonzero(parent >= 0).tolist():  # parents come first, so one step reaches the end of the chain
        if parent[parent[row]] >= 0:
            parent[row] = parent[parent[row]]
    return parent, similarity


@dataclass(frozen=True)
class SemanticDedup:
    """Keep one record of those that mean the same: cosine of embeddings at least `threshold` within a cluster.

    Needs the column that the stage `embed` adds. Records are cut into `clusters` (0: one for 500 records)
    by mini-batch k-means fitted on `sample` records; only records of a cluster are compared. Of those that
    are similar stays the one farthest from the centroid (`keep: far`, as in SemDeDup), the nearest one, or
    the first by `priority`; then the one with the smallest id. With the built-in embedding, cosine 0.95 is what a
    text and a copy with a tenth of its characters changed have.
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
            raise ValueError(f"threshold must lie in (0, 1], is {self.threshold}")

    def sketch(self, table: pa.Table) -> pa.Table:
        from raylib.vectors import embedding_matrix, packed_vectors

        vectors = packed_vectors(embedding_matrix(table, self.column))
        key = id_hashes(table, self.seed)
        columns: dict[str, Any] = {
            "row": pa.array(np.arange(len(table), dtype=np.int32)),
            "key": pa.array(key),
            "vector": vectors,
            "id": table["id"],
            "source": table["source"],
        }
        for i, expression in enumerate(self.priority):
            columns[f"priority_{i}"] = pa.array(priority_column(table, expression))
        return pa.table(columns)

    def rounds(self) -> tuple[Round, ...]:
        return (
            Round("centroids", self._centroids, broadcast=True),
            Round("assign", self._assign),
            Round("compare", self._compare),
        )

    def resolve(self, sketches: SketchStore) -> pa.Table:
        """All rounds in memory, for a store that holds everything."""
        from raylib.stage import resolve_in_memory

        return resolve_in_memory(self, sketches)

    def _centroids(self, store: SketchStore) -> Shuffled:
        heads, total = [], 0
        for table in store.tables():
            total += len(table)
            heads.append(table.select(["key", "vector"]).slice(0, self.sample))
        if not heads:
            return Shuffled(pa.table({"centroid": pa.array([], pa.binary())}))
        drawn = pa.concat_tables(heads)
        drawn = drawn.take(pa.array(np.argsort(drawn["key"].to_numpy(), kind="stable")[: self.sample]))
        wanted = self.clusters or max(1, total // 500)
        centroids = fit_centroids(_vectors(drawn), min(wanted, max(1, len(drawn) // 10)), self.seed)
        return Shuffled(pa.table({"centroid": pa.array([row.tobytes() for row in centroids], pa.binary())}))

    def _assign(self, store: SketchStore) -> Shuffled:
        shared = next(iter(store.shared()))
        centroids = np.frombuffer(b"".join(shared["centroid"].to_pylist()), np.float32).reshape(len(shared), -1)
        step = min(_KEYS // len(centroids), _KEYS - 1)
        parts = []
        for table in store.tables():
            index, cosine = nearest_centroid(_vectors(table), centroids)
            key = index.astype(np.uint64) * np.uint64(step)  # equal for a whole cluster, so no range cuts one
            table = table.drop_columns(["key"]).append_column("key", pa.array(key))
            parts.append(table.append_column("cosine", pa.array(cosine)))
        return Shuffled(pa.concat_tables(parts))

    def _compare(self, store: SketchStore) -> Shuffled:
        table = pa.concat_tables(list(store.tables()))
        ranks = {f"p{i}": table[f"priority_{i}"] for i in range(len(self.priority))}
        cosine = table["cosine"].to_numpy()
        ranks |= {"distance": pa.array(cosine if self.keep == "far" else -cosine)}
        if self.priority:
            del ranks["distance"]
        keys = pa.table({"key": table["key"], **ranks, "id": table["id"], "shard": table["shard"], "row": table["row"]})
        order = pc.sort_indices(keys, sort_keys=[(n, "ascending") for n in keys.column_names])
        table = table.take(order).combine_chunks()
        key = table["key"].to_numpy()
        borders = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]]))
        parent = np.full(len(table), -1, np.int64)
        similarity = np.zeros(len(table), np.float32)
        for first, last in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            found, value = duplicates_in_cluster(_vectors(table.slice(first, last - first)), self.threshold)
            parent[first:last] = np.where(found >= 0, found + first, -1)
            similarity[first:last] = value
        gone = np.flatnonzero(parent >= 0)
        verdicts = table.select(["shard", "row"]).take(pa.array(gone))
        verdicts = verdicts.append_column("duplicate_of", table["id"].take(pa.array(parent[gone])))
        verdicts = verdicts.append_column("similarity", pa.array(similarity[gone].astype(np.float64)))
        return Shuffled(verdicts, notes=_notes(table, parent, similarity))

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        if len(verdicts) == 0:
            return keep_all(table)
        index = row_verdicts(table, verdicts)
        known = pa.array(np.maximum(index, 0), mask=index < 0)
        rounded = pc.round(verdicts["similarity"], 3).cast(pa.string())
        words = pc.binary_join_element_wise("means the same as ", verdicts["duplicate_of"], ", cosine ", rounded, "")
        return split_rejected(
            table,
            pa.array(index >= 0),
            stage="semantic_dedup",
            reason="semantic_duplicate",
            detail=single_chunk(words.take(known)),
        )

    def section(self, notes: list[dict[str, Any]], store: SketchStore) -> dict[str, Any]:
        """This stage's part of the report."""
        from dedup.section import cluster_section

        return {**cluster_section(self, notes, store), "title": "Semantic duplicates"}


def _vectors(table: pa.Table) -> Matrix:
    from raylib.vectors import unpacked_vectors

    return unpacked_vectors(table["vector"])


def _notes(table: pa.Table, parent: Matrix, similarity: Matrix) -> dict[str, Any]:
    from dedup.clusters import nodes_of
    from dedup.section import cluster_notes

    keeper = np.where(parent >= 0, parent, np.arange(len(parent)))
    node = nodes_of(table["shard"].to_numpy(), table["row"].to_numpy())
    return cluster_notes(node, table["source"].to_pylist(), keeper, np.where(parent >= 0, similarity, 1.0))


register(
    StageInfo(
        name="semantic_dedup",
        make=SemanticDedup,
        kind="global",
        summary=SemanticDedup.__doc__ or "",
        reason="semantic_duplicate",
    )
)
