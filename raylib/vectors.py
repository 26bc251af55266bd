"""Embeddings as an Arrow column of half-precision vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raylib.errors import ParameterError, StageError
from raylib.schema import single_chunk

__all__ = ["embedding_array", "embedding_matrix", "half_vectors", "packed_vectors", "unit_rows", "unpacked_vectors"]


def embedding_array(matrix: npt.NDArray[np.floating]) -> pa.Array:
    """Convert a matrix `[N, D]` into a column of type `fixed_size_list<float16>[D]`."""
    flat = pa.array(np.ascontiguousarray(matrix, np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def embedding_matrix(table: pa.Table, column: str = "embedding") -> npt.NDArray[np.float32]:
    """Read the embeddings of a table.

    Args:
        table: N records.
        column: Name of the column of embeddings.

    Returns:
        The embeddings as `[N, D]`.

    Raises:
        StageError: If there is no such column.
        ParameterError: If the column has nulls.
    """
    if column not in table.column_names:
        raise StageError(
            f"no column {column!r}: run the stage `embed` first (columns: {', '.join(table.column_names)})"
        )
    array = single_chunk(table[column])
    if array.null_count:
        raise ParameterError(f"column {column!r} has {array.null_count} nulls; every record needs an embedding")
    width = array.type.list_size if pa.types.is_fixed_size_list(array.type) else 0
    values = array.flatten().to_numpy(zero_copy_only=False)
    if not width:
        width = len(values) // max(len(array), 1)
    matrix: npt.NDArray[np.float32] = values.astype(np.float32).reshape(len(array), width)
    return matrix


def packed_vectors(matrix: npt.NDArray[np.floating]) -> pa.Array:
    """Pack a matrix `[N, D]` into one binary value of D float16 numbers per row, as sketches carry it."""
    data = np.ascontiguousarray(matrix, np.float16)
    kind = pa.binary(2 * matrix.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(matrix), [None, pa.py_buffer(data)])


def unpacked_vectors(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.float32]:
    """Unpack a column of `packed_vectors` into unit rows `[N, D]`."""
    return unit_rows(half_vectors(column).astype(np.float32))


def half_vectors(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.float16]:
    """View a column of `packed_vectors` as `[N, D]`, without a copy."""
    array = single_chunk(column)
    width = array.type.byte_width // 2
    data = np.frombuffer(array.buffers()[1], np.float16, len(array) * width, array.offset * width * 2)
    return data.reshape(len(array), width)


def unit_rows(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Divide each row of `[N, D]` by its length; zero rows stay zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    rows: npt.NDArray[np.float32] = matrix / np.maximum(norms, 1e-12)
    return rows
