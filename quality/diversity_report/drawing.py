"""Samples of sets, their embeddings, clusters and t-SNE maps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.kmeans import fit_centroids, nearest_centroid
from quality.embeddings.clustering import class_keywords, default_clusters
from quality.embeddings.embedding import Embed
from quality.embeddings.metrics import metrics_of, nearest_neighbour_distances
from quality.embeddings.tsne import project
from quality.text.words import segment
from raylib.schema import text_of
from raylib.vectors import embedding_matrix

__all__ = ["DiversityOptions", "Drawing", "Sample", "draw", "sample_of"]


Matrix = np.ndarray[Any, Any]


@dataclass(frozen=True)
class DiversityOptions:
    """points: drawn at random from each set. embedding: a column of the records, `tfidf`, or a sentence-transformers
    model by path; empty: the column `embedding` where both sets have it, tfidf otherwise. clusters: 0: half the square
    root of the points. perplexity, seed: of t-SNE."""

    points: int = 20_000
    embedding: str = ""
    clusters: int = 0
    perplexity: float = 35.0
    seed: int = 0
    colour: tuple[str, ...] = ()


@dataclass
class Sample:
    """Records drawn from a set, uniformly, and how many it has."""

    name: str
    total: int
    table: pa.Table
    vectors: Matrix | None = None
    labels: Matrix = field(default_factory=lambda: np.zeros(0, np.int64))


def sample_of(name: str, tables: Iterable[pa.Table], size: int, seed: int) -> Sample:
    """The records with the smallest hashes of their ids: the same ones whatever the order of files."""
    from raylib.hashing import id_hashes

    held: pa.Table | None = None
    total = 0
    for table in tables:
        total += len(table)
        keyed = table.append_column("__key", pa.array(id_hashes(table, seed)))
        held = keyed if held is None else pa.concat_tables([held, keyed], promote_options="default")
        if len(held) > 2 * size:
            held = _smallest(held, size)
    if held is None or len(held) == 0:
        raise ValueError(f"{name}: no records")
    return Sample(name, total, _smallest(held, size).drop_columns(["__key"]))


def _smallest(table: pa.Table, size: int) -> pa.Table:
    order = np.argsort(table["__key"].to_numpy(), kind="stable")[:size]
    return table.take(pa.array(order)).combine_chunks()


@dataclass(frozen=True)
class _Together:
    """A SketchStore of one table, to fit the built-in embedding on."""

    table: pa.Table

    def tables(self) -> Iterator[pa.Table]:
        yield self.table

    def shared(self) -> Iterator[pa.Table]:
        return iter(())

    def facts(self, nodes: Matrix, columns: Sequence[str] | None = None) -> pa.Table:
        raise NotImplementedError

    def texts(self, nodes: Matrix) -> list[str]:
        raise NotImplementedError


def embed_samples(samples: Sequence[Sample], options: DiversityOptions) -> str:
    """Give every sample vectors of one and the same space; returns which."""
    if not options.embedding or options.embedding == "embedding":
        if all("embedding" in s.table.column_names for s in samples):
            for s in samples:
                s.vectors = embedding_matrix(s.table)
            widths = {s.vectors.shape[1] for s in samples if s.vectors is not None}
            if len(widths) > 1:
                raise ValueError(f"the embeddings of the sets have different widths: {sorted(widths)}; name one with --embedding")  # fmt: skip
            return "column embedding"
        if options.embedding:
            raise ValueError("not all sets have the column 'embedding'; use --embedding tfidf or a model")
    model = options.embedding or "tfidf"
    stage = Embed(model=model, seed=options.seed)
    shared: list[pa.Table] = []
    plain = [s.table.drop_columns([c for c in ("embedding",) if c in s.table.column_names]) for s in samples]
    if model == "tfidf":
        # fitted on the first set alone, as a reader expects of "before"; small ones on all of it
        sketch = stage.sketch(plain[0])
        if len(sketch) < min(len(plain[0]), 2000):
            key = np.arange(len(plain[0]), dtype=np.uint64)
            texts = pc.utf8_slice_codeunits(text_of(plain[0]), 0, stage.max_characters)
            sketch = pa.table({"row": pa.array(key.astype(np.int32)), "key": pa.array(key), "text": texts})
        fit = stage.rounds()[0].step(
            _Together(sketch.append_column("shard", pa.array(np.zeros(len(sketch), np.int32))))
        )
        shared = [fit.rows]
    apply = stage.applier(shared)
    for s, table in zip(samples, plain, strict=True):
        s.vectors = embedding_matrix(apply(table, pa.table({"row": pa.array([], pa.int32())})).kept)
    return model


@dataclass(frozen=True)
class Drawing:
    """Everything that the page and the picture show."""

    samples: list[Sample]
    places: list[Matrix]
    centroids: Matrix
    topics: list[str]
    metrics: dict[str, dict[str, Any]]
    distances: list[Matrix]
    embedding: str


def draw(samples: list[Sample], options: DiversityOptions) -> Drawing:
    """Embed, cluster, measure and project samples of sets."""
    embedding = embed_samples(samples, options)
    vectors = [s.vectors for s in samples if s.vectors is not None]
    count = options.clusters or default_clusters(len(vectors[0]))
    centroids = fit_centroids(vectors[0], min(count, max(1, len(vectors[0]) // 5)), options.seed)
    words: dict[int, dict[str, int]] = {}
    for s, matrix in zip(samples, vectors, strict=True):
        s.labels = nearest_centroid(matrix, centroids)[0]
        for text, label in zip(text_of(s.table).to_pylist()[:20_000], s.labels.tolist(), strict=False):
            row = words.setdefault(label, {})
            if len(row) < 20_000:
                for word in set(segment((text or "")[:1000])):
                    row[word] = row.get(word, 0) + 1
    named = class_keywords(words, 5)
    topics = [" ".join(named.get(i, [])) for i in range(len(centroids))]
    # one projection of both sets together, so that a place means the same on both maps
    places = project(np.concatenate(vectors), perplexity=options.perplexity, seed=options.seed)
    borders = np.cumsum([0, *(len(v) for v in vectors)])
    # distances shrink as a set grows, so sets are compared at the size of the smallest
    same = min(len(v) for v in vectors)
    metrics = {s.name: metrics_of(v[:same], s.labels[:same], len(centroids), seed=options.seed) | {"total": s.total} for s, v in zip(samples, vectors, strict=True)}  # fmt: skip
    distances = [nearest_neighbour_distances(v[:same], seed=options.seed) for v in vectors]
    parts = [places[a:b] for a, b in itertools.pairwise(borders)]
    return Drawing(samples, parts, centroids, topics, metrics, distances, embedding)
