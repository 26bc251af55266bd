"""Embeddings as a column: a sentence-transformers model, or TF-IDF and SVD fitted on the data itself.

Clustering, semantic deduplication, diversity selection and the t-SNE report all read this column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.folding import folded_codepoints
from raylib.hashing import id_hashes
from raylib.schema import text_of
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, keep_all, no_verdicts, register
from raylib.vectors import embedding_array, unit_rows

__all__ = ["Embed"]


TFIDF = "tfidf"
_GRAMS = (1, 2, 3)
_SHARE = 8  # one record in so many of a batch goes into the sample that the built-in model is fitted on
_PRIME = np.uint64(0x9E3779B97F4A7C15)


def _features(texts: pa.Array, size: int) -> Any:
    """Counts of hashed character 1-, 2- and 3-grams, CSR of shape (n, size); no loop over characters."""
    from scipy.sparse import csr_array

    view = folded_codepoints(texts)
    values = view.values.astype(np.uint64)
    owner = np.repeat(np.arange(len(texts)), view.lengths)
    rows, columns = [], []
    with np.errstate(over="ignore"):
        hashed = np.zeros(len(values), np.uint64)
        for n in _GRAMS:
            if len(values) < n:
                break
            # hashed[i] covers n characters from i
            hashed = (hashed[: len(values) - n + 1] ^ values[n - 1 :]) * _PRIME
            hashed ^= hashed >> np.uint64(29)
            inside = owner[: len(hashed)] == owner[n - 1 :]
            rows.append(owner[: len(hashed)][inside])
            columns.append(((hashed >> np.uint64(33)) % np.uint64(size)).astype(np.int64)[inside])
    if not rows:
        return csr_array((len(texts), size), dtype=np.float32)
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = csr_array((np.ones(len(row), np.float32), (row, column)), shape=(len(texts), size))
    matrix.sum_duplicates()
    return matrix


def _weighted(counts: Any, idf: np.ndarray[Any, Any]) -> Any:
    """Sublinear TF-IDF with unit rows."""
    from sklearn.preprocessing import normalize

    counts.data = (1.0 + np.log(counts.data)) * idf[counts.indices]
    return normalize(counts, copy=False)


@dataclass(frozen=True)
class Embed:
    """Add an embedding of each record's text: unit vectors, float16.

    `model: tfidf` needs no download: TF-IDF of hashed character 1- to 3-grams, reduced by truncated SVD to
    `dimensions` and centred, fitted on a random sample of `sample` records. Any other value is a sentence-transformers
    model, by path or name; it runs on a GPU (in half precision) when there is one, batches sorted by length.
    Texts are cut to `max_characters`.
    """

    model: str = TFIDF
    column: str = "embedding"
    dimensions: int = 256
    sample: int = 6_000
    features: int = 1 << 15
    batch_size: int = 64
    max_characters: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.dimensions < self.features:
            raise ValueError(f"dimensions must lie between 1 and features = {self.features}, is {self.dimensions}")

    @property
    def model_based(self) -> bool:
        """A sentence-transformers model wants a GPU; the built-in one does not."""
        return self.model != TFIDF

    def _texts(self, table: pa.Table) -> pa.Array:
        import pyarrow.compute as pc

        return pc.utf8_slice_codeunits(text_of(table), 0, self.max_characters)

    # ---- the sample and the fit ---------------------------------------------------------------

    def sketch(self, table: pa.Table) -> pa.Table:
        if self.model != TFIDF:
            empty = {"row": pa.array([], pa.int32()), "key": pa.array([], pa.uint64()), "text": pa.array([], pa.large_string())}  # fmt: skip
            return pa.table(empty)
        key = id_hashes(table, self.seed)
        rows = np.argsort(key, kind="stable")[: max(50, len(table) // _SHARE)]
        texts = self._texts(table).take(pa.array(rows))
        return pa.table({"row": pa.array(rows.astype(np.int32)), "key": pa.array(key[rows]), "text": texts})

    def rounds(self) -> tuple[Round, ...]:
        return (Round("fit", self._fit, broadcast=True), Round("nothing", no_verdicts))

    def resolve(self, sketches: SketchStore) -> pa.Table:
        return no_verdicts(sketches).rows

    def _fit(self, store: SketchStore) -> Shuffled:
        if self.model != TFIDF:
            return Shuffled(pa.table({"idf": pa.array([], pa.list_(pa.float32()))}))
        from sklearn.decomposition import TruncatedSVD
        from threadpoolctl import threadpool_limits

        # runs are in key order, so the smallest keys of all are among the first of each
        heads = [t.select(["key", "text"]).slice(0, self.sample) for t in store.tables()]
        drawn = pa.concat_tables(heads)
        drawn = drawn.take(pa.array(np.argsort(drawn["key"].to_numpy(), kind="stable")[: self.sample]))
        counts = _features(drawn["text"].combine_chunks(), self.features)
        present = np.bincount(counts.indices, minlength=self.features)
        idf = (np.log((1 + counts.shape[0]) / (1 + present)) + 1.0).astype(np.float32)
        wanted = min(self.dimensions, counts.shape[0], self.features - 1)
        weighted = _weighted(counts, idf)
        # one thread: sums in another order would give other bits
        with threadpool_limits(1):
            svd = TruncatedSVD(wanted, n_iter=2, random_state=self.seed).fit(weighted)
        components = np.zeros((self.dimensions, self.features), np.float32)
        components[:wanted] = svd.components_
        # what all texts have in common would make any two of them look alike: it is taken out
        center = np.asarray((weighted @ components.T).mean(axis=0), np.float32)
        return Shuffled(
            pa.table(
                {
                    "idf": pa.array([idf], pa.large_list(pa.float32())),
                    "center": pa.array([center], pa.large_list(pa.float32())),
                    "components": pa.array([components.ravel()], pa.large_list(pa.float32())),
                }
            )
        )

    # ---- apply --------------------------------------------------------------------------------

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        raise ValueError("embed is fitted first; use it in a recipe, or `applier`")

    def applier(self, shared: Sequence[pa.Table]) -> Callable[[pa.Table, pa.Table], Outcome]:
        """The function that adds the column."""
        encode = self._fitted(shared[0]) if self.model == TFIDF else _transformer(self.model, self.batch_size)

        def add(table: pa.Table, verdicts: pa.Table) -> Outcome:
            matrix = encode(self._texts(table)) if len(table) else np.zeros((0, 1), np.float32)
            if len(table) == 0:
                matrix = encode(pa.array([""], pa.large_string()))[:0]  # for the width
            out = table.drop_columns([self.column]) if self.column in table.column_names else table
            return keep_all(out.append_column(self.column, embedding_array(matrix)))

        return add

    def _fitted(self, model: pa.Table) -> Callable[[pa.Array], np.ndarray[Any, Any]]:
        idf, center = np.asarray(model["idf"][0].values), np.asarray(model["center"][0].values)
        components = np.asarray(model["components"][0].values).reshape(self.dimensions, self.features).T.copy()
        return lambda texts: unit_rows(_weighted(_features(texts, self.features), idf) @ components - center)


def _transformer(path: str, batch_size: int) -> Callable[[pa.Array], np.ndarray[Any, Any]]:
    """A sentence-transformers model, loaded once; its own `encode` sorts by length."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ValueError("embed: this model needs the extra `quality`: pip install 'raylib-data[quality]'") from error
    model = SentenceTransformer(path)
    if model.device.type == "cuda":
        model.half()
    return lambda texts: np.asarray(
        model.encode(texts.to_pylist(), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False),
        np.float32,
    )


register(StageInfo(name="embed", make=Embed, kind="global", summary=Embed.__doc__ or ""))
