"""Choose the best part of a set: by score, by diversity, or by both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.kmeans import fit_centroids, nearest_centroid
from dedup.verdicts import row_verdicts
from quality.embeddings.clustering import default_clusters
from quality.embeddings.diversity import Chosen, greedy_by_quality, k_center, quota_by_cluster
from quality.embeddings.metrics import metrics_of
from quality.selection.expressions import numbers
from raylib.hashing import id_hashes
from raylib.schema import single_chunk
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, keep_all, register, split_rejected
from raylib.vectors import embedding_matrix, half_vectors, packed_vectors

__all__ = ["Select"]


Matrix = np.ndarray[Any, Any]
_MAP = 3000  # points of the maps in the report


@dataclass(frozen=True)
class Select:
    """Keep `k` records, or the share `fraction`, and reject the others with the reason.

    `by`: a column or arithmetic over columns, higher is better (`quality * difficulty`); nulls come last, and ties are
    broken by a hash of the id; empty: no preference. `method`:
    deita: best score first, skipping what has a cosine of `max_cosine` or more to one that was taken (Liu et al. 2024);
    k_center: of the best `pool` x k records those that cover the embedding space best (farthest-first traversal);
    quota: the same number from each of `clusters` clusters (of the column `cluster` where there is one), by k_center from
    the best `pool` times as many of it, which raises both spread and balance;
    top: the best, whatever they are like. All but top need the column that the stage `embed` adds.
    Adds `selected_rank`, from 1. The report compares the selection with all candidates and with a random one.
    One task sees all embeddings: 2 bytes a dimension and record, and 4 for those that are taken.
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
            raise ValueError("k, fraction: give one of them, such as k: 2000 or fraction: 0.2")
        if self.k < 0 or not 0 <= self.fraction <= 1:
            raise ValueError(f"k must be positive, fraction at most 1, are {self.k} and {self.fraction}")
        if self.method == "top" and not self.by:
            raise ValueError("by: the method `top` needs a score")
        if not -1 < self.max_cosine <= 1.0:
            raise ValueError(f"max_cosine must lie in (-1, 1], is {self.max_cosine}")
        if self.pool < 1:
            raise ValueError(f"pool must be at least 1, is {self.pool}")

    # ---- sketch -------------------------------------------------------------------------------

    def sketch(self, table: pa.Table) -> pa.Table:
        columns: dict[str, Any] = {
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
        if not self.by:
            return pa.array(np.zeros(len(table)))
        return numbers(self.by, table, "select")

    # ---- choice -------------------------------------------------------------------------------

    def rounds(self) -> tuple[Round, ...]:
        return (Round("choose", self._choose, broadcast=True), Round("verdicts", self._verdicts))

    def resolve(self, sketches: SketchStore) -> pa.Table:
        """All rounds in memory, for a store that holds everything."""
        from raylib.stage import resolve_in_memory

        return resolve_in_memory(self, sketches)

    def _choose(self, store: SketchStore) -> Shuffled:
        tables = list(store.tables())
        if not tables:
            return Shuffled(pa.table({name: pa.array([], pa.int64()) for name in ("shard", "row", "rank", "near")}))
        table = pa.concat_tables(tables)
        # the order in which files came must not matter: by hash of the id, then by place
        order = pc.sort_indices(table.select(["key", "shard", "row"]), sort_keys=[(n, "ascending") for n in ("key", "shard", "row")])  # fmt: skip
        table = table.take(order).combine_chunks()
        score = table["score"].to_numpy()
        score = np.where(np.isnan(score), -np.inf, score)
        wanted = min(len(table), self.k or round(self.fraction * len(table)))
        best_first = np.argsort(-score, kind="stable")
        vectors = half_vectors(table["vector"]) if self.method != "top" else np.zeros((len(table), 0), np.float16)
        chosen = self._chosen(table, vectors, best_first, wanted)
        notes = self._notes(table, vectors, chosen.rows, store) if self.method != "top" else {}
        notes["scores"] = _summary_of(score, chosen.rows) if self.by else {}
        notes["too_close"] = int((chosen.near >= 0).sum())
        rank = np.zeros(len(table), np.int64)
        rank[chosen.rows] = np.arange(1, len(chosen.rows) + 1)
        near = pa.array(np.maximum(chosen.near, 0), mask=chosen.near < 0)
        verdicts = table.select(["shard", "row"])
        columns = {"rank": pa.array(rank), "near": table["id"].take(near), "cosine": pa.array(chosen.cosine)}
        for name, column in columns.items():
            verdicts = verdicts.append_column(name, column)
        notes["wanted"] = wanted
        return Shuffled(verdicts, notes=notes)

    def _chosen(self, table: pa.Table, vectors: Matrix, best_first: Matrix, wanted: int) -> Chosen:
        nothing = np.full(len(table), -1, np.int64), np.zeros(len(table), np.float32)
        if self.method == "deita":
            return greedy_by_quality(vectors, best_first, wanted, self.max_cosine)
        if self.method == "top":
            return Chosen(best_first[:wanted], *nothing)
        if self.method == "quota":
            labels = table["cluster"].to_numpy() if "cluster" in table.column_names else self._labels(vectors)
            score_matters = self.pool if self.by else float(len(table))
            rows = quota_by_cluster(vectors, labels, best_first, wanted, pool=score_matters, seed=self.seed)
            return Chosen(rows, *nothing)
        pool = best_first if not self.by else best_first[: max(wanted, int(self.pool * wanted))]
        pool = np.sort(pool)
        return Chosen(pool[k_center(vectors[pool], wanted, seed=self.seed)], *nothing)

    def _centroids(self, vectors: Matrix) -> Matrix:
        rng = np.random.default_rng(self.seed)
        drawn = np.sort(rng.choice(len(vectors), min(len(vectors), 50_000), replace=False))
        wanted = self.clusters or default_clusters(len(vectors))
        return fit_centroids(vectors[drawn].astype(np.float32), min(wanted, max(1, len(drawn) // 5)), self.seed)

    def _labels(self, vectors: Matrix) -> Matrix:
        centroids = self._centroids(vectors)
        step = 65_536
        parts = [
            nearest_centroid(vectors[i : i + step].astype(np.float32), centroids)[0]
            for i in range(0, len(vectors), step)
        ]
        return np.concatenate(parts)

    def _verdicts(self, store: SketchStore) -> Shuffled:
        """The part of the choice that belongs to this range of keys."""
        (shared,) = store.shared()
        wanted = np.concatenate(
            [
                t["shard"].to_numpy().astype(np.int64) << 32 | t["row"].to_numpy().astype(np.int64)
                for t in store.tables()
            ]
        )
        node = shared["shard"].to_numpy().astype(np.int64) << 32 | shared["row"].to_numpy().astype(np.int64)
        return Shuffled(shared.filter(pa.array(np.isin(node, wanted))))

    # ---- apply --------------------------------------------------------------------------------

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        if len(table) == 0:
            return keep_all(table.append_column("selected_rank", pa.array([], pa.int64())))
        at = row_verdicts(table, verdicts)
        mine = verdicts.take(pa.array(at)).combine_chunks()
        rank = mine["rank"].to_numpy()
        shown = pc.round(mine["cosine"], 3).cast(pa.string())
        close = pc.binary_join_element_wise(
            "cosine ", shown, " to ", mine["near"], ", which was taken before", "", null_handling="emit_null"
        )
        if self.by:
            scores = pc.fill_null(pc.round(self._score(table), 4).cast(pa.string()), "none")
            below = pc.binary_join_element_wise(f"{self.by} = ", scores, ": not among those chosen", "")
        else:
            below = pa.repeat(pa.scalar("not among those chosen"), len(table))
        detail = pc.coalesce(single_chunk(close), single_chunk(below)).cast(pa.large_string())
        outcome = split_rejected(table, pa.array(rank == 0), stage="select", reason="not_selected", detail=detail)
        kept = outcome.kept
        if "selected_rank" in kept.column_names:
            kept = kept.drop_columns(["selected_rank"])
        return Outcome(kept.append_column("selected_rank", pa.array(rank[rank > 0])), outcome.rejected)

    # ---- report -------------------------------------------------------------------------------

    def _notes(self, table: pa.Table, vectors: Matrix, rows: Matrix, store: SketchStore) -> dict[str, Any]:
        rng = np.random.default_rng(self.seed)
        labels = table["cluster"].to_numpy() if "cluster" in table.column_names else self._labels(vectors)
        clusters = int(labels.max(initial=0)) + 1
        random = np.sort(rng.choice(len(vectors), len(rows), replace=False))
        notes: dict[str, Any] = {
            "metrics": {
                name: metrics_of(vectors[part], labels[part], clusters, seed=self.seed)
                for name, part in (
                    ("candidates", np.arange(len(vectors))),
                    ("selected", np.sort(rows)),
                    ("random", random),
                )
            }
        }
        if self.maps:
            notes["map"] = self._map(table, vectors, rows, store)
        return notes

    def _map(self, table: pa.Table, vectors: Matrix, rows: Matrix, store: SketchStore) -> dict[str, Any]:
        from quality.embeddings.tsne import project

        drawn = np.arange(min(_MAP, len(table)))  # in order of a hash, so the first ones are a random sample
        places = project(vectors[drawn].astype(np.float32), seed=self.seed, threads=1)
        part = table.take(pa.array(drawn))
        shard, row = (part[n].to_numpy().astype(np.uint64) for n in ("shard", "row"))
        texts = store.texts(shard << np.uint64(32) | row)
        chosen = np.isin(drawn, rows)
        return {
            "x": np.round(places[:, 0], 3).tolist(),
            "y": np.round(places[:, 1], 3).tolist(),
            "source": part["source"].to_pylist(),
            "selected": chosen.tolist(),
            "text": [t[:160] for t in texts],
        }

    def section(self, notes: list[dict[str, Any]], store: SketchStore) -> dict[str, Any]:
        """This stage's part of the report."""
        from quality.selection.selection_report import selection_section

        return selection_section(self, notes)


def _summary_of(score: Matrix, rows: Matrix) -> dict[str, Any]:
    """Mean and quartiles of scores of all candidates and of those chosen."""
    out = {}
    for name, values in (("candidates", score), ("selected", score[rows])):
        finite = values[np.isfinite(values)]
        if len(finite):
            quartiles = np.quantile(finite, [0.25, 0.5, 0.75])
            out[name] = [round(float(v), 4) for v in (finite.mean(), *quartiles)]
    return out


register(StageInfo(name="select", make=Select, kind="global", summary=Select.__doc__ or "", reason="not_selected"))
