"""Clusters of records by meaning, each named by the words that set it apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.kmeans import fit_centroids, nearest_centroid
from dedup.verdicts import row_verdicts
from quality.text.words import segment
from raylib.hashing import id_hashes
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, keep_all, register
from raylib.stage.outcome import with_columns
from raylib.vectors import embedding_matrix, packed_vectors, unpacked_vectors

__all__ = ["Cluster", "class_keywords", "default_clusters", "drawn_centroids"]


Matrix = np.ndarray[Any, Any]


def class_keywords(counts: Mapping[int, Mapping[str, int]], top: int = 8) -> dict[int, list[str]]:
    """The words that set each class apart, by c-TF-IDF: tf(w, c) log(1 + A / f(w)).

    counts: words of each class. tf is the share of the word in its class, f its frequency in all, A the mean number
    of words a class. Source: Grootendorst, "BERTopic", 2022.
    """
    total: Counter[str] = Counter()
    for words in counts.values():
        total.update(words)
    mean = sum(total.values()) / max(len(counts), 1)
    out = {}
    for label, words in counts.items():
        size = max(sum(words.values()), 1)
        weight = {w: n / size * np.log1p(mean / total[w]) for w, n in words.items() if len(w) > 1 and n > 1}
        out[label] = sorted(weight, key=lambda w: (-weight[w], w))[:top]
    return out


def drawn_centroids(store: SketchStore, clusters: int, sample: int, seed: int) -> tuple[Matrix, int]:
    """Unit centroids fitted on the records with the smallest keys, and how many records there are."""
    heads, total = [], 0
    for table in store.tables():
        total += len(table)
        heads.append(table.select(["key", "vector"]).slice(0, sample))
    if not heads:
        return np.zeros((0, 1), np.float32), 0
    drawn = pa.concat_tables(heads)
    drawn = drawn.take(pa.array(np.argsort(drawn["key"].to_numpy(), kind="stable")[:sample]))
    vectors = unpacked_vectors(drawn["vector"])
    return fit_centroids(vectors, min(clusters or default_clusters(total), max(1, len(drawn) // 5)), seed), total


def default_clusters(records: int) -> int:
    """About the square root of the number of records, between 2 and 500: clusters that a person can still look at."""
    return int(np.clip(round(np.sqrt(records) / 2), 2, 500))


@dataclass(frozen=True)
class Cluster:
    """Add `cluster`, the number of the record's cluster, and `topic`, the words that set that cluster apart.

    Needs the column that the stage `embed` adds. Mini-batch k-means fitted on `sample` records; `clusters: 0` takes
    half the square root of the number of records, between 2 and 500. Keywords by c-TF-IDF over up to `texts` records
    a cluster. Clusters are numbered from the largest.
    """

    clusters: int = 0
    column: str = "embedding"
    sample: int = 50_000
    texts: int = 200
    keywords: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.clusters < 0:
            raise ValueError(f"clusters must be 0 or more, is {self.clusters}")

    def sketch(self, table: pa.Table) -> pa.Table:
        return pa.table(
            {
                "row": pa.array(np.arange(len(table), dtype=np.int32)),
                "key": pa.array(id_hashes(table, self.seed)),
                "vector": packed_vectors(embedding_matrix(table, self.column)),
            }
        )

    def rounds(self) -> tuple[Round, ...]:
        return (
            Round("centroids", self._centroids, broadcast=True),
            Round("assign", self._assign),
            Round("keywords", self._keywords, broadcast=True),
            Round("names", self._names),
        )

    def resolve(self, sketches: SketchStore) -> pa.Table:
        """All rounds in memory, for a store that holds everything."""
        from raylib.stage import resolve_in_memory

        return resolve_in_memory(self, sketches)

    def _centroids(self, store: SketchStore) -> Shuffled:
        centroids, _ = drawn_centroids(store, self.clusters, self.sample, self.seed)
        return Shuffled(pa.table({"vector": pa.array([c.tobytes() for c in centroids], pa.binary())}))

    def _assign(self, store: SketchStore) -> Shuffled:
        shared = next(iter(store.shared()))
        centroids = np.frombuffer(b"".join(shared["vector"].to_pylist()), np.float32).reshape(len(shared), -1)
        parts = []
        for table in store.tables():
            index, _ = nearest_centroid(unpacked_vectors(table["vector"]), centroids)
            parts.append(table.select(["shard", "row", "key"]).append_column("label", pa.array(index.astype(np.int32))))
        return Shuffled(pa.concat_tables(parts))

    def _keywords(self, store: SketchStore) -> Shuffled:
        """Sizes of all clusters, and words of some of their texts: those with the smallest keys."""
        labels, nodes = [], []
        for table in store.tables():
            labels.append(table["label"].to_numpy())
            shard, row = (table[n].to_numpy().astype(np.uint64) for n in ("shard", "row"))
            nodes.append(shard << np.uint64(32) | row)
        label, node = np.concatenate(labels), np.concatenate(nodes)
        sizes = np.bincount(label)
        order = np.argsort(label, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        picked = order[np.arange(len(order)) - np.repeat(starts, sizes) < self.texts]
        counts: dict[int, Counter[str]] = {}
        for begin in range(0, len(picked), 2000):
            part = picked[begin : begin + 2000]
            for at, text in zip(part.tolist(), store.texts(node[part]), strict=True):
                counts.setdefault(int(label[at]), Counter()).update(set(segment(text[:2000])))
        names = class_keywords(counts, self.keywords)
        ranked = np.argsort(-sizes, kind="stable")
        ranked = ranked[sizes[ranked] > 0]
        table = pa.table(
            {
                "label": pa.array(ranked.astype(np.int32)),
                "topic": pa.array([" ".join(names.get(int(c), [])) for c in ranked], pa.string()),
                "records": pa.array(sizes[ranked]),
            }
        )
        notes = {"clusters": [[int(sizes[c]), " ".join(names.get(int(c), []))] for c in ranked[:500]]}
        return Shuffled(table, notes=notes)

    def _names(self, store: SketchStore) -> Shuffled:
        """The number of each record's cluster, by size."""
        _, named = store.shared()
        number = np.zeros(int(named["label"].to_numpy().max()) + 1, np.int32)
        number[named["label"].to_numpy()] = np.arange(len(named))
        tables = list(store.tables())
        table = pa.concat_tables(tables)
        cluster = pa.array(number[table["label"].to_numpy()])
        return Shuffled(table.select(["shard", "row"]).append_column("cluster", cluster))

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        return self._with(table, verdicts, pa.nulls(0, pa.string()))

    def applier(self, shared: Sequence[pa.Table]) -> Callable[[pa.Table, pa.Table], Outcome]:
        """The function that adds the columns."""
        topics = shared[1]["topic"].combine_chunks()
        return lambda table, verdicts: self._with(table, verdicts, topics)

    @staticmethod
    def _with(table: pa.Table, verdicts: pa.Table, topics: pa.Array) -> Outcome:
        if len(table) == 0:
            return keep_all(with_columns(table, {"cluster": pa.array([], pa.int32()), "topic": pa.array([], pa.string())}))  # fmt: skip
        at = row_verdicts(table, verdicts)
        number = verdicts["cluster"].take(pa.array(at)).combine_chunks()
        if isinstance(topics, pa.ChunkedArray):
            topics = topics.combine_chunks()
        topic = topics.take(number) if len(topics) else pa.nulls(len(table), pa.string())
        return keep_all(with_columns(table, {"cluster": number, "topic": topic}))

    def section(self, notes: list[dict[str, Any]], store: SketchStore) -> dict[str, Any]:
        """This stage's part of the report."""
        found = [c for n in notes for c in n.get("clusters", [])]
        rows = [{"label": f"{i}: {topic}", "value": size} for i, (size, topic) in enumerate(found[:40])]
        title = f"Records of the largest {len(rows)} of {len(found)} clusters"
        return {"title": "Clusters by meaning", "blocks": [{"kind": "bars", "title": title, "rows": rows}]}


register(StageInfo(name="cluster", make=Cluster, kind="global", summary=Cluster.__doc__ or ""))
