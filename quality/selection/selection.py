"""The stage `select`: the best part of a set, by score, by diversity, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.kmeans import fit_centroids, nearest_centroid
from dedup.verdicts import row_verdicts
from quality.embeddings.clustering import default_clusters
from quality.embeddings.diversity import Chosen, greedy_by_quality, k_center, quota_by_cluster
from quality.selection.scores import scores_by
from quality.selection.selection_report import SelectionNotes, quartiles_of, selection_section, set_notes
from raylib.errors import ParameterError
from raylib.hashing import id_hashes
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
from raylib.vectors import embedding_matrix, half_vectors, packed_vectors

__all__ = ["Select"]

Half = npt.NDArray[np.float16]  # vectors [N, D]
Rows = npt.NDArray[np.int64]  # positions
_PLACE = ("key", "shard", "row")
_SAMPLE = 50_000  # vectors that clusters are fitted on
_STEP = 65_536  # vectors that are assigned to clusters at once


@stage("select", kind="global", reason="not_selected")
@dataclass(frozen=True)
class Select(GlobalStage):
    """Keep `k` records, or the share `fraction`, and reject the others with the reason.

    The method `deita` takes the best score first and skips records too close to one that was taken (Liu et al. 2024);
    `k_center` takes of the best records those that cover the embedding space best (farthest-first traversal);
    `quota` takes the same number from each cluster, by k_center from its best, which raises both spread and balance;
    `top` takes the best, whatever they are like. All but `top` need the column that the stage `embed` adds. Adds
    `selected_rank`, from 1. The report compares the selection with all candidates and with a random one.
    One task sees all embeddings: 2 bytes per dimension and record, and 4 for those that are taken.

    Attributes:
        k: Number of records to keep.
        fraction: Share of records to keep, in place of `k`.
        by: Column, or arithmetic over columns (`quality * difficulty`); higher is better, nulls come last, and ties are
            broken by a hash of the id. Empty means no preference.
        method: How records are chosen: `deita`, `k_center`, `quota` or `top`.
        max_cosine: Cosine to a record that was taken from which `deita` skips a record, in (-1, 1].
        pool: Number of candidates, the best ones, as a multiple of the records that `k_center`, or a cluster of
            `quota`, takes; at least 1.
        clusters: Number of clusters of `quota`, unless there is a column `cluster`; 0 means half the square root of
            the number of records, between 2 and 500.
        column: Column of embeddings.
        maps: Whether the report has t-SNE maps.
        seed: Seed of hashes, clusters and maps.

    Raises:
        ParameterError: If not exactly one of `k` and `fraction` is given, `top` has no score, or a value is out of
            range.
    """

    k: int = 0
    fraction: float = 0.0
    by: str = ""
    method: Literal["deita", "k_center", "quota", "top"] = "deita"
    max_cosine: float = 0.9
    pool: float = 3.0
    clusters: int = 0
    column: str = "embedding"
    maps: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.k > 0) == (self.fraction > 0):
            raise ParameterError("k, fraction: give one of them, such as k: 2000 or fraction: 0.2")
        if self.k < 0 or not 0 <= self.fraction <= 1:
            raise ParameterError(f"k must be positive, fraction at most 1, are {self.k} and {self.fraction}")
        if self.method == "top" and not self.by:
            raise ParameterError("by: the method `top` needs a score")
        if not -1 < self.max_cosine <= 1.0:
            raise ParameterError(f"max_cosine must lie in (-1, 1], is {self.max_cosine}")
        if self.pool < 1:
            raise ParameterError(f"pool must be at least 1, is {self.pool}")

    # ---- sketch -------------------------------------------------------------------------------

    def sketch(self, table: pa.Table) -> pa.Table:
        """Score, vector, cluster, id and source of each record under a hash of its id."""
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            "row": pa.array(np.arange(len(table), dtype=np.int32)),
            "key": pa.array(id_hashes(table, self.seed)),
            "id": table["id"],
            "source": table["source"],
            "score": self._score(table),
        }
        if self.method != "top":
            columns["vector"] = packed_vectors(embedding_matrix(table, self.column))
        if self.method != "top" and "cluster" in table.column_names:
            columns["cluster"] = table["cluster"].cast(pa.int64())
        return pa.table(columns)

    def _score(self, table: pa.Table) -> pa.Array:
        """Scores of N records; 0 without a preference."""
        return scores_by(self.by, table, "select") if self.by else pa.array(np.zeros(len(table)))

    # ---- choice -------------------------------------------------------------------------------

    def rounds(self) -> tuple[Round, ...]:
        """One round that sees all records and chooses, one that hands out the verdicts."""
        return (Round("choose", self._choose, broadcast=True), Round("verdicts", _verdicts))

    def _choose(self, store: SketchStore) -> Shuffled:
        """The verdict about every record: its rank (0 for none), and the record that it is too close to."""
        tables = list(store.tables())
        if not tables:
            return Shuffled(pa.table({name: pa.array([], pa.int64()) for name in ("shard", "row", "rank", "near")}))
        # the order in which files came must not matter: by hash of the id, then by place
        table = pa.concat_tables(tables)
        order = pc.sort_indices(table.select(_PLACE), sort_keys=[(n, "ascending") for n in _PLACE])
        table = table.take(order).combine_chunks()
        score = table["score"].to_numpy()
        score = np.where(np.isnan(score), -np.inf, score)
        wanted = min(len(table), self.k or round(self.fraction * len(table)))
        vectors = half_vectors(table["vector"]) if self.method != "top" else np.zeros((len(table), 0), np.float16)
        chosen = self._chosen(table, vectors, np.argsort(-score, kind="stable"), wanted)
        notes: SelectionNotes = {}
        if self.method != "top":
            notes = set_notes(table, vectors, self._labels(table, vectors), chosen.rows, store, self.seed, self.maps)
        notes["scores"] = quartiles_of(score, chosen.rows) if self.by else {}
        notes["too_close"] = int((chosen.near >= 0).sum())
        notes["wanted"] = wanted
        return Shuffled(_verdict_table(table, chosen), notes=dict(notes))

    def _chosen(self, table: pa.Table, vectors: Half, best_first: Rows, wanted: int) -> Chosen:
        """The choice by `method`."""
        nothing = np.full(len(table), -1, np.int64), np.zeros(len(table), np.float32)
        if self.method == "deita":
            return greedy_by_quality(vectors, best_first, wanted, self.max_cosine)
        if self.method == "top":
            return Chosen(best_first[:wanted], *nothing)
        if self.method == "quota":
            labels = self._labels(table, vectors)
            pool = self.pool if self.by else float(len(table))
            rows = quota_by_cluster(vectors, labels, best_first, wanted, pool=pool, seed=self.seed)
            return Chosen(rows, *nothing)
        candidates = best_first if not self.by else best_first[: max(wanted, int(self.pool * wanted))]
        candidates = np.sort(candidates)
        return Chosen(candidates[k_center(vectors[candidates], wanted, seed=self.seed)], *nothing)

    def _labels(self, table: pa.Table, vectors: Half) -> Rows:
        """Cluster of each record: of the column `cluster`, or found here."""
        if "cluster" in table.column_names:
            given: Rows = table["cluster"].to_numpy()
            return given
        rng = np.random.default_rng(self.seed)
        drawn = np.sort(rng.choice(len(vectors), min(len(vectors), _SAMPLE), replace=False))
        wanted = min(self.clusters or default_clusters(len(vectors)), max(1, len(drawn) // 5))
        centroids = fit_centroids(vectors[drawn].astype(np.float32), wanted, self.seed)
        parts = [
            nearest_centroid(vectors[i : i + _STEP].astype(np.float32), centroids)[0]
            for i in range(0, len(vectors), _STEP)
        ]
        return np.concatenate(parts)

    # ---- apply --------------------------------------------------------------------------------

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """The function that keeps the records with a rank."""
        return self._kept

    def _kept(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        """Records with a rank, and the others with what was against them."""
        if len(table) == 0:
            return keep_all(table.append_column("selected_rank", pa.array([], pa.int64())))
        mine = verdicts.take(pa.array(row_verdicts(table, verdicts))).combine_chunks()
        rank = mine["rank"].to_numpy()
        detail = pc.coalesce(_too_close(mine), self._below(table)).cast(pa.large_string())
        outcome = split_rejected(table, pa.array(rank == 0), stage="select", reason="not_selected", detail=detail)
        kept = outcome.kept
        if "selected_rank" in kept.column_names:
            kept = kept.drop_columns(["selected_rank"])
        return Outcome(kept.append_column("selected_rank", pa.array(rank[rank > 0])), outcome.rejected)

    def _below(self, table: pa.Table) -> pa.Array:
        """The detail of records whose score is too low."""
        if not self.by:
            return pa.repeat(pa.scalar("not among those chosen"), len(table))
        scores = pc.fill_null(pc.round(self._score(table), 4).cast(pa.string()), "none")
        return single_chunk(pc.binary_join_element_wise(f"{self.by} = ", scores, ": not among those chosen", ""))

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section:
        """The selection beside all candidates and a random selection."""
        return selection_section(notes, self.by, self.max_cosine if self.method == "deita" else None)


def _verdict_table(table: pa.Table, chosen: Chosen) -> pa.Table:
    """Verdicts about all records."""
    rank = np.zeros(len(table), np.int64)
    rank[chosen.rows] = np.arange(1, len(chosen.rows) + 1)
    near = pa.array(np.maximum(chosen.near, 0), mask=chosen.near < 0)
    columns = {"rank": pa.array(rank), "near": table["id"].take(near), "cosine": pa.array(chosen.cosine)}
    verdicts = table.select(["shard", "row"])
    for name, column in columns.items():
        verdicts = verdicts.append_column(name, column)
    return verdicts


def _verdicts(store: SketchStore) -> Shuffled:
    """The part of the choice that belongs to this range of keys."""
    (shared,) = store.shared()
    wanted = np.concatenate([_nodes(table) for table in store.tables()])
    return Shuffled(shared.filter(pa.array(np.isin(_nodes(shared), wanted))))


def _nodes(table: pa.Table) -> Rows:
    """Places of records: `shard << 32 | row`."""
    shard, row = (table[n].to_numpy().astype(np.int64) for n in ("shard", "row"))
    nodes: Rows = shard << 32 | row
    return nodes


def _too_close(verdicts: pa.Table) -> pa.Array:
    """The detail of records that were passed over; null for others."""
    words = ("cosine ", pc.round(verdicts["cosine"], 3).cast(pa.string()), " to ", verdicts["near"])
    close = pc.binary_join_element_wise(*words, ", which was taken before", "", null_handling="emit_null")
    return single_chunk(close)
