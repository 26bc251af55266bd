"""Samples of sets, their embeddings, clusters and t-SNE maps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.kmeans import fit_centroids, nearest_centroid
from quality.embeddings.clustering import default_clusters
from quality.embeddings.embedding import TFIDF, Embed
from quality.embeddings.keywords import class_keywords
from quality.embeddings.metrics import SetMetrics, metrics_of, nearest_neighbour_distances
from quality.embeddings.tsne import project
from quality.text.words import segment
from raylib.errors import ParameterError
from raylib.hashing import id_hashes, smallest_keys
from raylib.schema import single_chunk, text_of
from raylib.vectors import embedding_matrix

__all__ = ["DiversityOptions", "Drawing", "DrawnMetrics", "Sample", "draw", "embed_samples", "sample_of"]

Places = npt.NDArray[np.float32]  # [N, 2]
Vectors = npt.NDArray[np.float32]  # [N, D]
_KEY = "__key"
_TEXTS, _WORDS = 20_000, 20_000  # texts of a sample, and different words of a cluster, that topics are taken from
_FIT = 2000  # records below which the built-in embedding is fitted on a whole sample


@dataclass(frozen=True)
class DiversityOptions:
    """Options of a diversity report.

    Attributes:
        points: Number of points drawn at random from each set.
        embedding: `tfidf`, or a sentence-transformers model by path. Empty means the column `embedding` if all sets
            have it, otherwise `tfidf`.
        clusters: Number of clusters; 0 means half the square root of the number of points.
        perplexity: Perplexity of t-SNE.
        seed: Seed of samples, clusters and t-SNE.
        colour: Columns to offer first as colours.
    """

    points: int = 20_000
    embedding: str = ""
    clusters: int = 0
    perplexity: float = 35.0
    seed: int = 0
    colour: tuple[str, ...] = ()


@dataclass
class Sample:
    """Records drawn from a set, uniformly.

    Attributes:
        name: Name of the set.
        total: Number of records of the set.
        table: N records.
        vectors: Their embeddings `[N, D]`, once `embed_samples` has made them.
        labels: Their clusters `[N]`, once `draw` has found them.
    """

    name: str
    total: int
    table: pa.Table
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    labels: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def sample_of(name: str, tables: Iterable[pa.Table], size: int, seed: int) -> Sample:
    """Draw the records with the smallest hashes of their ids, which do not depend on the order of files.

    Args:
        name: Name of the set.
        tables: All its records.
        size: Number of records to draw.
        seed: Seed of the hashes.

    Returns:
        The sample.

    Raises:
        ParameterError: If there are no records.
    """
    held: pa.Table | None = None
    total = 0
    for table in tables:
        total += len(table)
        keyed = table.append_column(_KEY, pa.array(id_hashes(table, seed)))
        held = keyed if held is None else pa.concat_tables([held, keyed], promote_options="default")
        if len(held) > 2 * size:
            held = smallest_keys(held, size, _KEY).combine_chunks()
    if held is None or len(held) == 0:
        raise ParameterError(f"{name}: no records to draw from")
    return Sample(name, total, smallest_keys(held, size, _KEY).combine_chunks().drop_columns([_KEY]))


def embed_samples(samples: Sequence[Sample], options: DiversityOptions) -> str:
    """Give the records of all samples vectors of the same space.

    Args:
        samples: Samples, whose `vectors` are set.
        options: Options of the report; `embedding` and `seed` count.

    Returns:
        What the vectors are: a column, or the name of a model.

    Raises:
        ParameterError: If a set has no embeddings, or embeddings of another width.
    """
    if not options.embedding or options.embedding == "embedding":
        if all("embedding" in s.table.column_names for s in samples):
            _take_column(samples)
            return "column embedding"
        if options.embedding:
            raise ParameterError("not all sets have the column 'embedding'; use --embedding tfidf or a model")
    stage = Embed(model=options.embedding or TFIDF, seed=options.seed)
    stage.check()
    plain = [s.table.drop_columns([c for c in ("embedding",) if c in s.table.column_names]) for s in samples]
    # fitted on the first set alone, as a reader expects of "before"
    shared = [stage.fit(_fitting_texts(stage, plain[0]))] if stage.model == TFIDF else []
    apply, no_verdicts = stage.applier(shared), pa.table({"row": pa.array([], pa.int32())})
    for s, table in zip(samples, plain, strict=True):
        s.vectors = embedding_matrix(apply(table, no_verdicts).kept)
    return stage.model


def _take_column(samples: Sequence[Sample]) -> None:
    """Take the vectors of the column `embedding`. Raises ParameterError if their widths differ."""
    for s in samples:
        s.vectors = embedding_matrix(s.table)
    widths = {s.vectors.shape[1] for s in samples}
    if len(widths) > 1:
        raise ParameterError(
            f"the embeddings of the sets have different widths: {sorted(widths)}; name one with --embedding"
        )


def _fitting_texts(stage: Embed, table: pa.Table) -> pa.Array:
    """Texts that the built-in embedding is fitted on: of small sets all of them."""
    sketch = stage.sketch(table)
    texts = stage.texts(table) if len(sketch) < min(len(table), _FIT) else single_chunk(sketch["text"])
    return texts.slice(0, stage.sample)


class DrawnMetrics(SetMetrics):
    """Diversity of a sample in numbers, and the number of records of the whole set."""

    total: int


@dataclass(frozen=True)
class Drawing:
    """Everything that the page and the picture show.

    Attributes:
        samples: S samples with vectors and labels.
        places: Places of their points on the map, S times `[N, 2]`.
        centroids: Centroids of the C clusters `[C, D]`.
        topics: Words that set each cluster apart.
        metrics: Diversity of each sample.
        distances: Distances to the nearest neighbour, for each sample.
        embedding: What the vectors are.
    """

    samples: list[Sample]
    places: list[Places]
    centroids: Vectors
    topics: list[str]
    metrics: dict[str, DrawnMetrics]
    distances: list[npt.NDArray[np.float32]]
    embedding: str


def draw(samples: list[Sample], options: DiversityOptions) -> Drawing:
    """Embed, cluster, measure and project samples of sets.

    Args:
        samples: Samples, whose `vectors` and `labels` are set.
        options: Options of the report.

    Returns:
        The drawing.

    Raises:
        ParameterError: If a set has no embeddings, or embeddings of another width.
    """
    embedding = embed_samples(samples, options)
    first = samples[0].vectors
    count = options.clusters or default_clusters(len(first))
    centroids = fit_centroids(first, min(count, max(1, len(first) // 5)), options.seed)
    for s in samples:
        s.labels = nearest_centroid(s.vectors, centroids)[0]
    # one projection of all sets together, so that a place means the same on every map
    vectors = [s.vectors for s in samples]
    places = project(np.concatenate(vectors), perplexity=options.perplexity, seed=options.seed)
    borders = np.cumsum([0, *(len(v) for v in vectors)])
    # distances shrink as a set grows, so sets are compared at the size of the smallest
    same = min(len(v) for v in vectors)
    metrics: dict[str, DrawnMetrics] = {}
    for s in samples:
        measured = metrics_of(s.vectors[:same], s.labels[:same], len(centroids), seed=options.seed)
        metrics[s.name] = {**measured, "total": s.total}
    distances = [nearest_neighbour_distances(v[:same], seed=options.seed) for v in vectors]
    parts = [places[a:b] for a, b in itertools.pairwise(borders)]
    return Drawing(samples, parts, centroids, _topics(samples, len(centroids)), metrics, distances, embedding)


def _topics(samples: Sequence[Sample], clusters: int) -> list[str]:
    """Words that set each cluster apart, by the texts of all samples."""
    words: dict[int, dict[str, int]] = {}
    for s in samples:
        for text, label in zip(text_of(s.table).to_pylist()[:_TEXTS], s.labels.tolist(), strict=False):
            row = words.setdefault(label, {})
            if len(row) < _WORDS:
                for word in set(segment((text or "")[:1000])):
                    row[word] = row.get(word, 0) + 1
    named = class_keywords(words, 5)
    return [" ".join(named.get(i, [])) for i in range(clusters)]
