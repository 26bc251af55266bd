"""Find input files and cut them into units of work.

A path, a glob, a folder, a list of these, or a URI (file://, s3://, any fsspec scheme) becomes a
list of `SourceFile`; `plan` groups small files and cuts Parquet and Arrow files into `Unit`s that
a worker reads by itself, and marks large sequential files (`streamed`), which a reader cuts into
blocks. The plan depends on names, sizes and options only, never on the number of workers.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from raylib.errors import SourceError

__all__ = ["SourceFile", "Unit", "file_format", "find_files", "open_filesystem", "plan"]

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}
_EXPANSION = 8  # a compressed text is taken to be this many times larger when small files are grouped


@dataclass(frozen=True)
class SourceFile:
    """One input file: its path or URI as the user knows it, and what identifies its content."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class Piece:
    """A file, or the row groups [start, stop) of a Parquet file or batches of an Arrow file."""

    file: SourceFile
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Unit:
    """Work that is planned as one: pieces that one worker reads, or one large file that a reader cuts."""

    number: int
    pieces: tuple[Piece, ...]
    streamed: bool = False

    @property
    def bytes(self) -> int:
        return sum(p.file.size for p in self.pieces if p.start == 0)


def file_format(path: str) -> tuple[str, str]:
    """(format, compression) by file name; format is "" when the extension is unknown."""
    name = _split_query(path)[0].rsplit("/", 1)[-1].lower() if "://" in path else path.rsplit("/", 1)[-1].lower()
    compression = ""
    for suffix, codec in COMPRESSIONS.items():
        if name.endswith(suffix):
            name, compression = name[: -len(suffix)], codec
            break
    extension = os.path.splitext(name)[1]
    return FORMATS.get(extension, ""), compression


def open_filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or URI, and the path within it. pyarrow first, then any fsspec scheme."""
    if "://" not in path:
        return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    try:
        return pafs.FileSystem.from_uri(path)
    except (ValueError, OSError) as arrow_error:
        try:
            import fsspec

            system, inner = fsspec.core.url_to_fs(path)
        except (ValueError, ImportError) as error:
            raise SourceError(f"cannot open {path!r}: {arrow_error}; fsspec: {error}") from None
        return pafs.PyFileSystem(pafs.FSSpecHandler(system)), inner


def find_files(paths: str | Path | Sequence[str | Path]) -> tuple[list[SourceFile], list[str]]:
    """All input files, sorted within each given path, and the paths that were passed over.

    A folder gives the files with a known extension below it; others are listed in the second value.
    Raises SourceError when a path matches nothing.
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise SourceError("input.path is empty: give a file, a glob, a folder, a URI or a list of these")
    files: dict[str, SourceFile] = {}
    skipped: list[str] = []
    for path in map(str, given):
        found, passed = _expand_uri(path) if "://" in path else _expand_local(path)
        if not found:
            hint = f"; {len(passed)} files there have unknown extensions, such as {passed[0]}" if passed else ""
            raise SourceError(
                f"no input file matches {path!r}{hint}; known: {', '.join(sorted(FORMATS))} (+ .gz, .zst, .bz2, .xz)"
            )
        skipped += passed
        for file in found:
            files.setdefault(file.path, file)
    return list(files.values()), skipped


def _expand_local(path: str) -> tuple[list[SourceFile], list[str]]:
    expanded = os.path.expanduser(path)
    if os.path.isfile(expanded):
        return [_local_file(expanded)], []
    if os.path.isdir(expanded):
        names = sorted(
            os.path.join(folder, name)
            for folder, _, members in os.walk(expanded)
            for name in members
            if not name.startswith((".", "_"))
        )
    else:
        names = sorted(n for n in glob.glob(expanded, recursive=True) if os.path.isfile(n))
        if names:
            return [_local_file(n) for n in names], []
    known = [n for n in names if file_format(n)[0]]
    return [_local_file(n) for n in known], [n for n in names if not file_format(n)[0]]


def _local_file(path: str) -> SourceFile:
    status = os.stat(path)
    return SourceFile(path, status.st_size, status.st_mtime_ns)


def _expand_uri(uri: str) -> tuple[list[SourceFile], list[str]]:
    uri, query = _split_query(uri)
    base, pattern = uri, ""
    if any(c in uri for c in "*?["):
        first = min(uri.index(c) for c in "*?[" if c in uri)
        base = uri[: uri.rindex("/", 0, first)]
        pattern = uri
    system, inner = open_filesystem(base + query)
    prefix = base[: len(base) - len(inner)] if base.endswith(inner) else base.split("://", 1)[0] + "://"
    info = system.get_file_info(inner)
    if info.type == pafs.FileType.File:
        return [_remote_file(prefix, info, query)], []
    if info.type == pafs.FileType.NotFound:
        return [], []
    infos = system.get_file_info(pafs.FileSelector(inner, recursive=True))
    found = sorted(
        (_remote_file(prefix, i, query) for i in infos if i.type == pafs.FileType.File), key=lambda f: f.path
    )
    if pattern:
        return [f for f in found if fnmatch.fnmatch(f.path.removesuffix(query), pattern)], []
    return [f for f in found if file_format(f.path)[0]], [f.path for f in found if not file_format(f.path)[0]]


def _split_query(uri: str) -> tuple[str, str]:
    """`s3://bucket/path` and `?region=...&endpoint_override=...`; a `?` without `=` behind it is a glob."""
    path, mark, query = uri.rpartition("?")
    return (path, mark + query) if mark and "=" in query and "/" not in query.split("=")[0] else (uri, "")


def _remote_file(prefix: str, info: Any, query: str) -> SourceFile:
    return SourceFile(prefix + info.path + query, info.size or 0, info.mtime_ns or 0)


def plan(files: Iterable[SourceFile], batch_bytes: int) -> Iterator[Unit]:
    """Cut files into units of about `batch_bytes` raw bytes, in input order.

    Small files are packed together; files over `batch_bytes` are streamed, Parquet and Arrow files
    are cut at row groups.
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


def _row_group_ranges(file: SourceFile, found: str, batch_bytes: int) -> Iterator[tuple[int, int]]:
    system, inner = open_filesystem(file.path)
    if found == "parquet":
        import pyarrow.parquet as pq

        with system.open_input_file(inner) as stream:
            metadata = pq.ParquetFile(stream).metadata
        sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    else:
        sizes = _arrow_batch_sizes(system, inner, file.size)
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and total + size > batch_bytes:
            yield start, i
            start, total = i, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def _arrow_batch_sizes(system: pafs.FileSystem, inner: str, size: int) -> list[int]:
    import pyarrow as pa

    with system.open_input_file(inner) as stream:
        try:
            count = pa.ipc.open_file(stream).num_record_batches
        except pa.ArrowInvalid:
            return [size]  # the stream format has no index: one piece
    return [size // max(count, 1)] * count
