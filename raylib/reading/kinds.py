"""The kinds that files seem to hold, by the first record of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from raylib.reading.block import ReadOptions
from raylib.reading.found import SourceFile
from raylib.reading.layouts import guess_kind, layout
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import first_record
from raylib.reading.units import Piece

__all__ = ["first_kind", "kinds_in_words", "kinds_of", "recognised_kind"]

_BEGINNING = 1 << 16  # bytes of a file in which its first record is looked for


def recognised_kind(record: dict[str, object]) -> str:
    """The kind of a raw record; empty if it has no known layout.

    Args:
        record: The record.
    """
    return "" if layout(record) == "unknown" else guess_kind(record)


def first_kind(piece: Piece, options: ReadOptions) -> str | None:
    """The kind that the first record of a file most likely is; None if its first block holds no record.

    Args:
        piece: The file.
        options: How to read.
    """
    record = _first_record(piece, options)
    return None if record is None else guess_kind(record)


def kinds_of(files: Iterable[SourceFile], options: ReadOptions) -> dict[str, list[str]]:
    """Paths of files by the kind of their first records, as far as these are of known layouts.

    Args:
        files: The files.
        options: How to read.
    """
    found: dict[str, list[str]] = {}
    for file in files:
        record = _first_record(Piece(file), options)
        kind = "" if record is None else recognised_kind(record)
        if kind:
            found.setdefault(kind, []).append(file.path)
    return found


def kinds_in_words(kinds: dict[str, list[str]]) -> str:
    """How many files there are of each kind, and the first of them.

    Args:
        kinds: Paths by kind.
    """
    parts = (
        f"{kind} in {len(paths):,} file{'s' * (len(paths) > 1)}, such as {paths[0]}"
        for kind, paths in sorted(kinds.items(), key=lambda item: -len(item[1]))
    )
    return "; ".join(parts)


def _first_record(piece: Piece, options: ReadOptions) -> dict[str, object] | None:
    block = next(iter(blocks_of(piece, replace(options, block_bytes=_BEGINNING))), None)
    return None if block is None else first_record(block)
