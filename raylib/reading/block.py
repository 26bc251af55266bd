"""A block of raw bytes on its way to a worker, and the options of reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pyarrow as pa

__all__ = ["Block", "ReadOptions", "Unreadable"]


@dataclass(frozen=True)
class ReadOptions:
    """How files are read; made from the `input` section of a recipe.

    Attributes:
        encoding: `auto`, or the name of a codec.
        block_bytes: Size of a block in bytes; a block ends at the first record border behind it.
        max_record_bytes: Longest line or document in bytes; longer ones are rejected.
        max_expansion: Factor by which a compressed file may grow. A file that grows by more, and to over 256 MiB,
            counts as a decompression bomb.
        document_per: For text files, whether a `file` or a `line` is one document.
    """

    encoding: str = "auto"
    block_bytes: int = 16 << 20
    max_record_bytes: int = 64 << 20
    max_expansion: float = 200.0
    document_per: Literal["file", "line"] = "file"


class Unreadable(NamedTuple):
    """Why something could not be read: the reason that its reject carries, and the detail."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Block:
    """A run of whole records of one file.

    Attributes:
        path: Path of the file, or `archive::member`.
        format: `jsonl`, `csv`, `tsv`, `lines`, `document` or `table`.
        first_line: Line number of the first record, from 1 (for JSON arrays and tables, the record number).
        data: Bytes of the records; empty for tables.
        encoding: Codec of `data`.
        header: For CSV and TSV, the delimiter and then the names of the columns.
        table: Rows of a `table` block.
        error: Set when this block stands for something that could not be read.
        consumed: Bytes of the file on disk that were read up to the end of this block, for progress bars.
    """

    path: str
    format: str
    first_line: int = 1
    data: bytes = b""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    table: pa.Table | None = field(default=None, compare=False)
    error: Unreadable | None = None
    consumed: int = 0
