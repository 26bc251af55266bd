"""A block of raw bytes on its way to a worker, and the options of reading."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

__all__ = ["Block", "ReadOptions"]


@dataclass(frozen=True)
class ReadOptions:
    """How to read; the `input` part of a recipe.

    encoding: "auto" or a codec name. block_bytes: size of a block. max_record_bytes: longer lines
    and documents are rejected. max_expansion: a compressed file may grow by this factor (beyond
    256 MiB) before it is taken for a bomb. document_per: for .txt, `file` or `line`.
    """

    encoding: str = "auto"
    block_bytes: int = 16 << 20
    max_record_bytes: int = 64 << 20
    max_expansion: float = 200.0
    document_per: str = "file"


@dataclass(frozen=True)
class Block:
    """A run of whole records of one file.

    path: the file, or `archive::member`. format: jsonl, csv, tsv, lines, document or table.
    first_line: line number (record number for JSON arrays and tables) of the first record, from 1.
    error: (reason, detail) when this block stands for something that could not be read.
    consumed: bytes of the file on disk that were read up to the end of this block, for progress bars.
    """

    path: str
    format: str
    first_line: int = 1
    data: bytes = b""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    table: pa.Table | None = field(default=None, compare=False)
    error: tuple[str, str] | None = None
    consumed: int = 0
