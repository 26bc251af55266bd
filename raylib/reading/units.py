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

    Args:
        files: Files to read.
        batch_bytes: Size of a unit in raw (decompressed) bytes, about.
    """
    number = 0
    packed: list[Piece] = []
    packed_bytes = 0.0

    def flush() -> Iterator[Unit]:
        nonlocal number, packed, packed_bytes
        if packed:
            yield Unit(number, tuple(packed))
            number, packed, packed_bytes = number + 1, [], 0.0

    for file in files:
        found, compression = file_format(file.path)
        estimate = file.size * (_EXPANSION if compression or found in ("zip", "tar") else 1)
        if estimate <= batch_bytes:
            if packed_bytes + estimate > batch_bytes:
                yield from flush()
            packed.append(Piece(file))
            packed_bytes += estimate
            continue
        yield from flush()
        if found in ("parquet", "arrow") and not compression:
            for start, stop in _row_group_ranges(file, found, batch_bytes):
                yield Unit(number, (Piece(file, start, stop),))
                number += 1
        else:
            yield Unit(number, (Piece(file),), streamed=True)
            number += 1
    yield from flush()


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
