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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from raylib.errors import SourceError
from raylib.reading.filesystems import FORMATS, file_format, open_filesystem, split_query

__all__ = ["SourceFile", "find_files"]


@dataclass(frozen=True)
class SourceFile:
    """One input file: its path or URI as the user knows it, and what identifies its content."""

    path: str
    size: int
    modified_ns: int


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
    uri, query = split_query(uri)
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


def _remote_file(prefix: str, info: Any, query: str) -> SourceFile:
    return SourceFile(prefix + info.path + query, info.size or 0, info.mtime_ns or 0)
