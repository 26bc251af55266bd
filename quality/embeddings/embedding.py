"""Embeddings as a column: a sentence-transformers model, or TF-IDF and SVD fitted on the data itself.

Clustering, semantic deduplication, diversity selection and the t-SNE report all read this column.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.folding import folded_codepoints
from dedup.kmeans import one_thread
from raylib.errors import ParameterError
from raylib.extras import optional, require
from raylib.hashing import absorb, id_hashes, inside_one_text, sampled_rows
from raylib.model_folders import loaded, model_folder
from raylib.paths import PathName
from raylib.schema import single_chunk, text_of
from raylib.stage import (
    Applier,
    GlobalStage,
    Outcome,
    Round,
    Shuffled,
    SketchStore,
    keep_all,
    no_verdicts,
    stage,
)
from raylib.vectors import embedding_array, unit_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Embed"]

Encoder = Callable[[pa.Array], npt.NDArray[np.float32]]  # texts -> vectors [N, D]
TFIDF = "tfidf"
_FILES = ("modules.json", "config.json")  # one of them makes a folder that of a model
_SAFE_VERSION = 6  # of sentence-transformers; earlier ones run the modules that `modules.json` of a folder names
_GRAMS = (1, 2, 3)
_SHARE = 8  # one record in eight of a batch goes into the sample that the built-in model is fitted on
_NO_SKETCH = pa.schema([("row", pa.int32()), ("key", pa.uint64()), ("text", pa.large_string())])


def _features(texts: pa.Array, size: int) -> csr_array:
    """Counts of hashed character 1-, 2- and 3-grams of N texts, sparse `[N, size]`; no loop over characters."""
    sparse = importlib.import_module("scipy.sparse")
    view = folded_codepoints(texts)
    values = view.values.astype(np.uint64)
    owner = np.repeat(np.arange(len(texts)), view.lengths)
    rows, columns = [], []
    hashed = np.zeros(len(values), np.uint64)
    for n in _GRAMS:
        if len(values) < n:
            break
        # hashed[i] covers n characters from i
        hashed = absorb(hashed[: len(values) - n + 1], values[n - 1 :])
        inside = inside_one_text(owner, n)
        rows.append(owner[: len(hashed)][inside])
        columns.append(((hashed >> np.uint64(33)) % np.uint64(size)).astype(np.int64)[inside])
    if not rows:
        return sparse.csr_array((len(texts), size), dtype=np.float32)
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix: csr_array = sparse.csr_array((np.ones(len(row), np.float32), (row, column)), shape=(len(texts), size))
    matrix.sum_duplicates()
    return matrix


def _weighted(counts: csr_array, idf: npt.NDArray[np.float32]) -> csr_array:
    """Sublinear TF-IDF with unit rows."""
    counts.data = (1.0 + np.log(counts.data)) * idf[counts.indices]
    weighted: csr_array = importlib.import_module("sklearn.preprocessing").normalize(counts, copy=False)
    return weighted


@stage("embed", kind="global")
@dataclass(frozen=True)
class Embed(GlobalStage):
    """Add an embedding of each record's text: unit vectors, float16.

    The built-in model `tfidf` needs no download: TF-IDF of hashed character 1- to 3-grams, reduced by truncated SVD
    and centred, fitted on a random sample of the records. A sentence-transformers model runs on a GPU (in half
    precision) if there is one, with batches sorted by length.

    Attributes:
        model: `tfidf`, or the path of a folder with a sentence-transformers model.
        column: Name of the new column.
        dimensions: Length of the vectors of `tfidf`.
        sample: Number of records that `tfidf` is fitted on.
        features: Number of hashes of n-grams that `tfidf` distinguishes.
        batch_size: Number of texts in a batch of a sentence-transformers model.
        max_characters: Number of characters of a text that are looked at.
        seed: Seed of the sample and of the SVD.

    Raises:
        ParameterError: If `dimensions` does not lie between 1 and `features`.
    """

    model: PathName = TFIDF
    column: str = "embedding"
    dimensions: int = 256
    sample: int = 6_000
    features: int = 1 << 15
    batch_size: int = 64
    max_characters: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.dimensions < self.features:
            raise ParameterError(f"dimensions must lie between 1 and features = {self.features}, is {self.dimensions}")

    def check(self) -> None:
        """Check that the model is there, and what it needs is installed. Raises ParameterError or MissingExtraError."""
        if self.model_based:
            model_folder(self.model, "embed: model", _FILES)
            require("sentence_transformers", purpose="the stage embed")
            _check_version(version("sentence-transformers"))

    @property
    def model_based(self) -> bool:
        """Whether the model is one of sentence-transformers, which runs best on a GPU."""
        return self.model != TFIDF

    def texts(self, table: pa.Table) -> pa.Array:
        """The part of each record's text that is looked at."""
        return pc.utf8_slice_codeunits(text_of(table), 0, self.max_characters)

    # ---- the sample and the fit ---------------------------------------------------------------

    def sketch(self, table: pa.Table) -> pa.Table:
        """Texts of an eighth of the records, at least 50, for `tfidf` to be fitted on."""
        if self.model != TFIDF:
            return _NO_SKETCH.empty_table()
        key = id_hashes(table, self.seed)
        rows = np.argsort(key, kind="stable")[: max(50, len(table) // _SHARE)]
        texts = self.texts(table).take(pa.array(rows))
        return pa.table({"row": pa.array(rows.astype(np.int32)), "key": pa.array(key[rows]), "text": texts})

    def rounds(self) -> tuple[Round, ...]:
        """One round that fits `tfidf`."""
        return (Round("fit", self._fit, broadcast=True), Round("finish", no_verdicts))

    def _fit(self, store: SketchStore) -> Shuffled:
        """Weights of n-grams, center and components of `tfidf`."""
        if self.model != TFIDF:
            return Shuffled(pa.table({"idf": pa.array([], pa.list_(pa.float32()))}))
        drawn, _ = sampled_rows(store.tables(), ["text"], self.sample)
        if drawn is None:  # earlier stages kept nothing
            return Shuffled(pa.table({"idf": pa.array([], pa.large_list(pa.float32()))}))
        return Shuffled(self.fit(single_chunk(drawn["text"])))

    def fit(self, texts: pa.Array) -> pa.Table:
        """Fit `tfidf` on texts.

        Args:
            texts: N texts.

        Returns:
            The fitted model in one row, for `applier`.
        """
        idf, center, components = self._svd(_features(texts, self.features))
        kind = pa.large_list(pa.float32())
        columns = {"idf": idf, "center": center, "components": components.ravel()}
        return pa.table({name: pa.array([values], kind) for name, values in columns.items()})

    def _svd(
        self, counts: csr_array
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Weights of F n-grams `[F]`, center `[D]` and components `[D, F]` of counts `[N, F]`."""
        present = np.bincount(counts.indices, minlength=self.features)
        idf = (np.log((1 + counts.shape[0]) / (1 + present)) + 1.0).astype(np.float32)
        wanted = min(self.dimensions, counts.shape[0], self.features - 1)
        weighted = _weighted(counts, idf)
        with one_thread():
            svd = (
                importlib.import_module("sklearn.decomposition")
                .TruncatedSVD(wanted, n_iter=2, random_state=self.seed)
                .fit(weighted)
            )
        components = np.zeros((self.dimensions, self.features), np.float32)
        components[:wanted] = svd.components_
        # what all texts have in common would make any two of them look alike: it is taken out
        center = np.asarray((weighted @ components.T).mean(axis=0), np.float32)
        return idf, center, components

    # ---- apply --------------------------------------------------------------------------------

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """The function that adds the column."""
        encode = self._fitted(shared[0]) if self.model == TFIDF else _transformer(self.model, self.batch_size)

        def add(table: pa.Table, verdicts: pa.Table) -> Outcome:
            texts = self.texts(table) if len(table) else pa.array([""], pa.large_string())  # one, for the width
            matrix = encode(texts)[: len(table)]
            out = table.drop_columns([self.column]) if self.column in table.column_names else table
            return keep_all(out.append_column(self.column, embedding_array(matrix)))

        return add

    def _fitted(self, model: pa.Table) -> Encoder:
        """`tfidf` as it was fitted; without a record to fit it on, there is none to encode either."""
        if len(model) == 0:
            return lambda texts: np.zeros((len(texts), self.dimensions), np.float32)
        idf, center = np.asarray(model["idf"][0].values), np.asarray(model["center"][0].values)
        components = np.asarray(model["components"][0].values).reshape(self.dimensions, self.features).T.copy()
        return lambda texts: unit_rows(_weighted(_features(texts, self.features), idf) @ components - center)


def _check_version(installed: str) -> None:
    """Refuse a version that runs the modules which a folder names. Raises ParameterError."""
    if int(installed.split(".", maxsplit=1)[0]) < _SAFE_VERSION:
        raise ParameterError(
            f"embed: sentence-transformers {installed} runs code of model folders; install a version that does not: "
            f"pip install 'sentence-transformers>={_SAFE_VERSION}'"
        )


def _transformer(path: str, batch_size: int) -> Encoder:
    """A sentence-transformers model, loaded once; its `encode` sorts texts by length."""
    module = optional("sentence_transformers", purpose="the stage embed")
    _check_version(version("sentence-transformers"))
    model_folder(path, "embed: model", _FILES)
    model = loaded(
        lambda: module.SentenceTransformer(path, local_files_only=True, trust_remote_code=False), path, "embed: model"
    )
    if model.device.type == "cuda":
        model.half()
    return lambda texts: np.asarray(
        model.encode(texts.to_pylist(), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False),
        np.float32,
    )
