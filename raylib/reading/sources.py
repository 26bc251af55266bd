"""Find input files: a path, a glob, a folder, a URI (file://, s3://, any fsspec scheme), or a list of these."""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.fs as pafs

from raylib.errors import SourceError
from raylib.paths import absolute
from raylib.reading.filesystems import FORMATS, check_readable, file_format, open_filesystem, split_query

__all__ = ["SourceFile", "find_files"]

logger = logging.getLogger(__name__)

_MANIFEST, _KEPT = "manifest.jsonl", "kept"  # of the folder of a run


@dataclass(frozen=True)
class SourceFile:
    """One input file: its path, and what identifies its content.

    Attributes:
        path: Path or URI as the user knows it, of which ids are made.
        size: Size in bytes.
        modified_ns: Time of the last change in nanoseconds since 1970; 0 if the file system does not know it.
        query: How the storage is reached, `?endpoint_override=...`; no part of ids.
        location: Where the file is opened: its absolute path, or its URI with the query. Workers run in other folders
            than the command, so a relative path means nothing to them.
    """

    path: str
    size: int
    modified_ns: int
    query: str = field(default="", compare=False)
    location: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "location", absolute(self.path) + self.query)

    def identity(self) -> dict[str, object]:
        """What fingerprints go by: the path as given, so that a run can be continued from another folder."""
        return {"path": self.path, "size": self.size, "modified_ns": self.modified_ns}


def find_files(paths: str | Path | Sequence[str | Path]) -> tuple[list[SourceFile], list[str]]:
    """All input files, and the files that were passed over.

    Args:
        paths: A path, glob, folder or URI, or a list of these.

    Returns:
        The input files, sorted within each given path; and the paths of files below a folder whose extension is
        unknown.

    Raises:
        SourceError: A path matches no file.
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise SourceError("input.path is empty: give a file, a glob, a folder, a URI or a list of these")
    files: dict[str, SourceFile] = {}
    skipped: list[str] = []
    for path in map(str, given):
        found, passed = _expand_uri(path) if "://" in path else _expand_local(path)
        if not found:
            raise _not_found(path, passed)
        skipped += passed
        for file in found:
            files.setdefault(file.location, file)
    return list(files.values()), skipped


def _not_found(path: str, passed: Sequence[str]) -> SourceError:
    """The error for a path without input files: it does not exist, or holds only `passed` files, or matches none."""
    expanded = os.path.expanduser(path)
    if not path:
        return SourceError("an input path is empty: give a file, a glob, a folder or a URI")
    is_glob = any(c in path for c in "*?[")
    if "://" in path and not is_glob and not passed:
        return SourceError(f"no input file matches {path!r}: there is no such file, or its server does not answer")
    if "://" not in path and not is_glob and not os.path.exists(expanded):
        looked = "" if os.path.isabs(expanded) else f" (looked in {os.getcwd()})"
        return SourceError(f"no input file matches {path!r}: there is no such file or folder{looked}")
    if os.path.isdir(expanded) and not passed:
        return SourceError(f"no input file matches {path!r}: the folder holds no files")
    hint = f"; {len(passed)} files there have unknown extensions, such as {passed[0]}" if passed else ""
    known = f"{', '.join(sorted(FORMATS))} (+ .gz, .zst, .bz2, .xz)"
    return SourceError(f"no input file matches {path!r}{hint}; known: {known}")


def _expand_local(path: str) -> tuple[list[SourceFile], list[str]]:
    """Files of a local path, glob or folder, and those that were passed over."""
    expanded = os.path.expanduser(path)
    if os.path.isfile(expanded):
        check_readable(expanded)
        return [_local_file(expanded)], []
    if os.path.isdir(expanded):
        names = sorted(_names_below(expanded))
    else:
        names = sorted(n for n in glob.glob(expanded, recursive=True) if os.path.isfile(n))
        if names:
            for name in names:
                check_readable(name)
            return [_local_file(n) for n in names], []
    known = [n for n in names if file_format(n)[0]]
    return [_local_file(n) for n in known], [n for n in names if not file_format(n)[0]]


def _names_below(root: str) -> Iterator[str]:
    """Paths of the files below a folder without hidden ones: of a run what it kept, of runs inside nothing."""
    for folder, inner, members in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        if _is_run(folder, members):
            inner[:] = [_KEPT] if folder == root and _KEPT in inner else []
            if folder == root:
                logger.warning("%s is the folder of a run: only what it kept is read", root)
            else:
                logger.warning(
                    "%s is the folder of a run and passed over; %s/%s is what it kept", folder, folder, _KEPT
                )
            continue
        yield from (os.path.join(folder, name) for name in members if not name.startswith((".", "_")))


def _is_run(folder: str, members: Sequence[str]) -> bool:
    """Whether a folder is that of a run: it has a manifest, and folders of a run."""
    return _MANIFEST in members and any(os.path.isdir(os.path.join(folder, name)) for name in (_KEPT, ".work"))


def _local_file(path: str) -> SourceFile:
    try:
        status = os.stat(path)
    except OSError as error:  # a link to nowhere, or a folder that may not be searched
        raise SourceError(f"cannot read input file {path}: {error.strerror}") from None
    return SourceFile(path, status.st_size, status.st_mtime_ns)


def _expand_uri(uri: str) -> tuple[list[SourceFile], list[str]]:
    """Files of a URI, which may be a glob or a folder, and those that were passed over."""
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
        return [f for f in found if fnmatch.fnmatch(f.path, pattern)], []
    return [f for f in found if file_format(f.path)[0]], [f.path for f in found if not file_format(f.path)[0]]


def _remote_file(prefix: str, info: pafs.FileInfo, query: str) -> SourceFile:
    return SourceFile(prefix + info.path, info.size or 0, info.mtime_ns or 0, query)
