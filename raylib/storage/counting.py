"""How many records a file of a run holds."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from raylib.storage.store import Store

__all__ = ["rows_in"]

_CHUNK = 1 << 20


def rows_in(store: Store, name: str) -> int:
    """Number of records in a file that a run wrote.

    Args:
        store: Folder of the run.
        name: Name of the file.

    Returns:
        The number, as the file itself says.

    Raises:
        OSError: the file is not there, or it is cut.
        ArrowException: it is damaged.
    """
    with store.open(name) as stream:
        if name.endswith(".parquet"):
            return int(pq.read_metadata(stream).num_rows)
        if name.endswith(".arrow"):
            reader = pa.ipc.open_file(stream)
            return sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
        return _lines_in(stream)


def _lines_in(stream: pa.NativeFile) -> int:
    """Number of lines in a zstd file."""
    decompressor, lines = zstandard.ZstdDecompressor().decompressobj(), 0
    try:
        while data := stream.read(_CHUNK):
            lines += decompressor.decompress(data).count(b"\n")
    except zstandard.ZstdError as error:
        raise OSError(f"damaged: {error}") from None
    if not decompressor.eof and stream.tell():
        raise OSError("the file is cut")
    return lines
