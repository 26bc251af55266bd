"""Units of work: pieces of files that together make one shard.

The plan depends on names, sizes and options only, never on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from raylib.reading.arrow_layout import layout_of
from raylib.reading.damage import READ_ERRORS, Damaged
from raylib.reading.filesystems import file_format, open_filesystem
from raylib.reading.sources import SourceFile

__all__ = ["Piece", "Unit", "plan"]


_MOST_FILES = 1000  # of a unit: opening a small file takes longer than reading it
_EXPANSION = 8  # a compressed text is taken to be this many times larger when small files are grouped


@dataclass(frozen=True)
class Piece:
    """A file, or a part of a Parquet or Arrow file.

    Attributes:
        file: The file.
        start: Index of the first row group (Parquet) or batch (Arrow).
        stop: Index behind the last one; None reads to the end.
    """

    file: SourceFile
    start: int = 0
    stop: int | None = None

    def identity(self) -> dict[str, object]:
        """What fingerprints go by."""
        return {"file": self.file.identity(), "start": self.start, "stop": self.stop}


@dataclass(frozen=True)
class Unit:
    """Work that is planned as one: pieces that one worker reads, or one large file that a reader cuts.

    Attributes:
        number: Position in the plan, from 0; part of the names of the unit's shards.
        pieces: What to read.
        streamed: Whether a reader cuts the file into blocks, each of which becomes a shard.
    """

    number: int
    pieces: tuple[Piece, ...]
    streamed: bool = False

    @property
    def bytes(self) -> int:
        """Size in bytes of the files that begin in this unit."""
        return sum(p.file.size for p in self.pieces if p.start == 0)


def plan(files: Iterable[SourceFile], batch_bytes: int) -> Iterator[Unit]:
    """Cut files into units, in input order.

    Small files are packed together, large ones are streamed, and large Parquet and Arrow files are cut at row groups.
    Files that cannot be read come last, so that a link that breaks or is mended changes no other unit.

    Args:
        files: Files to read.
        batch_bytes: Size of a unit in raw (decompressed) bytes, about.
    """
    for number, (pieces, streamed) in enumerate(_cut(files, batch_bytes)):
        yield Unit(number, pieces, streamed)


def _cut(files: Iterable[SourceFile], batch_bytes: int) -> Iterator[tuple[tuple[Piece, ...], bool]]:
    """The pieces of each unit, and whether a reader cuts it further."""
    packed: list[Piece] = []
    unreadable: list[Piece] = []
    packed_bytes = 0.0
    for file in files:
        if file.error is not None:
            unreadable.append(Piece(file))
            continue
        found, compression = file_format(file.path)
        estimate = file.size * (_EXPANSION if compression or found in ("zip", "tar") else 1)
        full = packed_bytes + estimate > batch_bytes or len(packed) == _MOST_FILES
        if packed and full:
            yield tuple(packed), False
            packed, packed_bytes = [], 0.0
        if estimate <= batch_bytes:
            packed.append(Piece(file))
            packed_bytes += estimate
        elif found in ("parquet", "arrow") and not compression:
            yield from (((Piece(file, *part),), False) for part in _row_group_ranges(file, found, batch_bytes))
        else:
            yield (Piece(file),), True
    for pieces in (packed, unreadable):
        yield from ((tuple(pieces[i : i + _MOST_FILES]), False) for i in range(0, len(pieces), _MOST_FILES))


def _row_group_ranges(file: SourceFile, found: str, batch_bytes: int) -> Iterator[tuple[int, int | None]]:
    """Ranges of row groups or batches, each of about `batch_bytes`; one range for a file that cannot be read.

    Such a file is no reason to give up before the start: whoever reads it tells what is wrong with it.
    """
    try:
        system, inner = open_filesystem(file.location)
        with system.open_input_file(inner) as stream:
            sizes = _sizes(stream, found)
    except (*READ_ERRORS, ValueError):
        yield 0, None
        return
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and total + size > batch_bytes:
            yield start, i
            start, total = i, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def _sizes(stream: pa.NativeFile, found: str) -> list[int]:
    """Sizes of the row groups of a Parquet file, or of the batches of an Arrow file, in bytes."""
    if found == "parquet":
        metadata = pq.ParquetFile(stream).metadata
        return [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    layout = layout_of(stream)
    if not layout.indexed or not layout.frames:
        raise Damaged("unreadable_file", "no index")  # read from the beginning to the end, as one piece
    return [frame.decoded for frame in layout.frames]
