"""Embeddings as an Arrow column of half-precision vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from raylib.errors import StageError
from raylib.schema import single_chunk

__all__ = ["embedding_array", "embedding_matrix", "half_vectors", "packed_vectors", "unit_rows", "unpacked_vectors"]


def embedding_array(matrix: np.ndarray[Any, Any]) -> pa.Array:
    """A matrix (n, d) as a column of type fixed_size_list<float16>[d]."""
    flat = pa.array(np.ascontiguousarray(matrix, np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def embedding_matrix(table: pa.Table, column: str = "embedding") -> np.ndarray[Any, Any]:
    """The embedding column as float32 of shape (n, d). Raises StageError when it is missing, ValueError when it has nulls."""
    if column not in table.column_names:
        raise StageError(
            f"no column {column!r}: run the stage `embed` first (columns: {', '.join(table.column_names)})"
        )
    array = table[column].combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    if array.null_count:
        raise ValueError(f"column {column!r} has {array.null_count} nulls")
    width = array.type.list_size if pa.types.is_fixed_size_list(array.type) else 0
    values = array.flatten().to_numpy(zero_copy_only=False)
    if not width:
        width = len(values) // max(len(array), 1)
    return values.astype(np.float32).reshape(len(array), width)


def packed_vectors(matrix: np.ndarray[Any, Any]) -> pa.Array:
    """A matrix (n, d) as one binary value of float16 a row: what sketches carry."""
    data = np.ascontiguousarray(matrix, np.float16)
    kind = pa.binary(2 * matrix.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(matrix), [None, pa.py_buffer(data)])


def unpacked_vectors(column: pa.ChunkedArray | pa.Array) -> np.ndarray[Any, Any]:
    """What `packed_vectors` packed, as float32 of shape (n, d) with unit rows."""
    return unit_rows(half_vectors(column).astype(np.float32))


def half_vectors(column: pa.ChunkedArray | pa.Array) -> np.ndarray[Any, Any]:
    """What `packed_vectors` packed, as it is: float16 of shape (n, d), without a copy."""
    array = single_chunk(column)
    width = array.type.byte_width // 2
    data = np.frombuffer(array.buffers()[1], np.float16, len(array) * width, array.offset * width * 2)
    return data.reshape(len(array), width)


def unit_rows(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Each row divided by its length; zero rows stay zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.maximum(norms, 1e-12)
