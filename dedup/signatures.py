"""MinHash signatures as a column, and the similarity that they estimate."""

from __future__ import annotations

from types import ModuleType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleaning.codepoints import CodePoints
from dedup.folding import Level
from dedup.shingles import Unit, tokens
from raylib.schema import single_chunk

__all__ = [
    "LowBytes",
    "estimated_jaccard",
    "joined_to_leaders",
    "least_agreement",
    "low_bytes",
    "signature_column",
    "signature_matrix",
    "signatures",
    "true_jaccard",
]

LowBytes: TypeAlias = npt.NDArray[np.uint8]
"""The low byte of every value of signatures, [N, P]."""


_COMPARED = 256  # leaders of a component that every later member is compared with


def _kernels() -> ModuleType:
    from dedup import kernels  # noqa: PLC0415 - numba loads in a second

    return kernels


def signatures(view: CodePoints, *, ngram: int = 5, permutations: int = 128, seed: int = 1) -> npt.NDArray[np.uint32]:
    """MinHash signatures of texts.

    Args:
        view: Tokens of N texts, from `dedup.shingles.tokens`.
        ngram: Number of tokens of a shingle.
        permutations: Number of values of a signature, P.
        seed: Seed of the permutations.

    Returns:
        Signatures, [N, P].
    """
    kernels = _kernels()
    out = np.empty((len(view.lengths), permutations), np.uint32)
    kernels.minhash(view.values, view.starts, ngram, *kernels.coefficients(permutations, seed), out)
    return out


def low_bytes(matrix: npt.NDArray[np.uint32]) -> LowBytes:
    """The low byte of every value: enough to compare, at a quarter of the space (b-bit MinHash, Li and König 2010).

    Args:
        matrix: Signatures, [N, P].
    """
    return np.ascontiguousarray(matrix.astype(np.uint8))


def signature_column(matrix: npt.NDArray[np.uint32]) -> pa.Array:
    """The low bytes of signatures as a column of fixed-size binary.

    Args:
        matrix: Signatures, [N, P].
    """
    data = pa.py_buffer(low_bytes(matrix).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(matrix.shape[1]), len(matrix), [None, data])


def signature_matrix(column: pa.ChunkedArray) -> LowBytes:
    """The low bytes in a column of `signature_column`, without a copy if it is one chunk.

    Args:
        column: The column, N values.

    Returns:
        Low bytes, [N, P].
    """
    array = single_chunk(column)
    width = array.type.byte_width
    flat = np.frombuffer(array.buffers()[1], np.uint8, len(array) * width, array.offset * width)
    return flat.reshape(len(array), width)


def estimated_jaccard(
    low: LowBytes, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Jaccard estimates of pairs of signatures.

    Unequal values agree in their low byte once in 256 times; the estimate corrects for that.

    Args:
        low: Low bytes of signatures, [N, P].
        left: Rows, [K].
        right: Rows, [K].

    Returns:
        Estimates, [K].
    """
    same = np.empty(len(left), np.int64)
    _kernels().agreement(low, left, right, same)
    return _estimate(same, low.shape[1])


def _estimate(same: npt.NDArray[np.int64], permutations: int) -> npt.NDArray[np.float64]:
    return np.asarray(np.maximum((same / permutations - 1 / 256) / (1 - 1 / 256), 0.0))


def least_agreement(threshold: float, permutations: int) -> int:
    """In how many values two signatures must agree, so that their estimate reaches a threshold.

    Args:
        threshold: Jaccard similarity, 0 to 1.
        permutations: Number of values of a signature.
    """
    return int(np.argmax(_estimate(np.arange(permutations + 1), permutations) >= threshold))


def joined_to_leaders(
    low: LowBytes, borders: npt.NDArray[np.int64], least: int, bands: int, rows: int, compared: int = _COMPARED
) -> npt.NDArray[np.int64]:
    """For each row the first row of its group that leads and that it agrees with; one without leads itself.

    Args:
        low: Low bytes of signatures in order of preference, [N, P].
        borders: Where each group begins, and at the end N, [G + 1].
        least: Number of values in which similar signatures agree.
        bands: Number of bands of a signature.
        rows: Number of values of a band.
        compared: Number of leaders of a group that every later row is compared with; others are compared with the rows
            that share a band with them.

    Returns:
        Rows, [N].
    """
    out = np.empty(len(low), np.int64)
    _kernels().leaders(low, borders, least, bands, rows, compared, out)
    return out


def true_jaccard(
    texts: pa.Array,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    *,
    ngram: int = 5,
    unit: Unit = "character",
    level: Level = "standard",
) -> npt.NDArray[np.float64]:
    """True Jaccard similarities of the shingle sets of pairs of texts.

    Args:
        texts: String array.
        left: Rows, [K].
        right: Rows, [K].
        ngram: Number of tokens of a shingle.
        unit: Whether tokens are folded characters or words.
        level: How much of the texts is ignored.

    Returns:
        Similarities, [K].
    """
    view = tokens(texts, unit, level)
    out = np.empty(len(left), np.float64)
    _kernels().jaccard_pairs(view.values, view.starts, left, right, ngram, out)
    return out
