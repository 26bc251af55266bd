"""MinHash signatures as a column, and the similarity that they estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from dedup.shingles import Unit, tokens
from raylib.schema import single_chunk

__all__ = ["Matrix", "estimated_jaccard", "signature_column", "signature_matrix", "signatures", "true_jaccard"]


Matrix = np.ndarray[Any, Any]


def signatures(
    texts: pa.Array, *, ngram: int = 5, unit: Unit = "character", permutations: int = 128, seed: int = 1
) -> Matrix:
    """MinHash signatures of texts.

    Args:
        texts: string array; folded first (see dedup.folding).
        ngram: tokens in a shingle.
        unit: `character` (folded characters) or `word`.
        permutations: values of a signature.
        seed: of the permutations.

    Returns:
        uint32 of shape (len(texts), permutations).
    """
    from dedup.kernels import coefficients, minhash

    view = tokens(texts, unit)
    out = np.empty((len(texts), permutations), np.uint32)
    minhash(view.values, view.starts, ngram, *coefficients(permutations, seed), out)
    return out


def _low_bytes(matrix: Matrix) -> Matrix:
    """The low byte of every value: enough to compare, at a quarter of the space (b-bit MinHash, Li and König 2010)."""
    return np.ascontiguousarray(matrix.astype(np.uint8))


def signature_column(matrix: Matrix) -> pa.Array:
    """The low bytes of signatures (n, permutations) as a column of fixed-size binary."""
    data = pa.py_buffer(_low_bytes(matrix).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(matrix.shape[1]), len(matrix), [None, data])


def signature_matrix(column: pa.ChunkedArray) -> Matrix:
    """The column of `signature_column` as uint8 of shape (n, permutations), without a copy where it is one chunk."""
    array = single_chunk(column)
    width = array.type.byte_width
    flat = np.frombuffer(array.buffers()[1], np.uint8, len(array) * width, array.offset * width)
    return flat.reshape(len(array), width)


def estimated_jaccard(low: Matrix, left: Matrix, right: Matrix) -> Matrix:
    """Jaccard estimates of rows left[i] and right[i] of low-byte signatures (uint8), float64.

    Unequal values agree in their low byte once in 256 times; the estimate takes that out.
    """
    from dedup.kernels import agreement

    same = np.empty(len(left), np.int64)
    agreement(low, left, right, same)
    return np.maximum((same / low.shape[1] - 1 / 256) / (1 - 1 / 256), 0.0)


def true_jaccard(texts: pa.Array, left: Matrix, right: Matrix, *, ngram: int = 5, unit: Unit = "character") -> Matrix:
    """True Jaccard of the shingle sets of texts left[i] and right[i], float64."""
    from dedup.kernels import jaccard_pairs

    view = tokens(texts, unit)
    out = np.empty(len(left), np.float64)
    jaccard_pairs(view.values, view.starts, left, right, ngram, out)
    return out
