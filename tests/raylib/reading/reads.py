"""Reading a file to the end, as the tests of readers do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raylib.reading.block import ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import parse
from raylib.reading.sources import SourceFile
from raylib.reading.units import Piece

__all__ = ["read_file", "reasons"]


def read_file(
    path: Path, content: str | bytes | None = None, kind: str = "document", **options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All records and all rejects of a file, which is written first if there is a content."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    records: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    for block in blocks_of(Piece(SourceFile(str(path), path.stat().st_size, 0)), ReadOptions(**options)):
        for parsed in parse(block, kind):
            records += parsed.table.to_pylist()
            rejects += parsed.rejects.to_pylist()
    return records, rejects


def reasons(rejects: list[dict[str, Any]]) -> list[str]:
    """The reasons of some rejects."""
    return [reject["reason"] for reject in rejects]
