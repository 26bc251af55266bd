"""Find input files: a path, a glob, a folder, a URI (file://, s3://, any fsspec scheme), or a list of these.

This is the one search of all commands and of the Python API.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from raylib.errors import SourceError
from raylib.reading.candidates import Candidate, Claims, candidate
from raylib.reading.filesystems import FORMATS, check_readable
from raylib.reading.found import FOLDER_OF_A_GLOB, KEPT, RUN, UNKNOWN, Found, Passed, SourceFile, shown
from raylib.reading.patterns import has_wildcard, matched
from raylib.reading.remote import files_at, is_remote_run
from raylib.reading.walking import files_below, is_run

__all__ = ["SourceFile", "find_files", "is_folder_of_a_run"]

_LOCAL = "file://"


def find_files(paths: str | Path | Sequence[str | Path]) -> Found:
    """All input files, and what was passed over.

    A path that exists is taken as it is, whatever characters its name holds. Of a folder all files of known formats
    below it are taken, also behind links; of the folder of a run those that it kept. Files that cannot be read are
    among the result, with the reason. No file is taken twice.

    Args:
        paths: A path, glob, folder or URI, or a list of these.

    Returns:
        The input files, sorted within each given path, and what was passed over.

    Raises:
        SourceError: A path matches no file, or is given itself and cannot be read.
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise SourceError("input.path is empty: give a file, a glob, a folder, a URI or a list of these")
    files: list[SourceFile] = []
    passed: list[Passed] = []
    claims = Claims()
    for path in map(str, given):
        found, over = _candidates(path)
        if not found:
            raise _not_found(path, over)
        new, again = claims.admit(found)
        files += new
        passed += [*over, *again]
    return Found(files, passed)


def is_folder_of_a_run(path: str) -> bool:
    """Whether a path or URI is the folder of a run, of which the kept records are meant.

    Args:
        path: The path or URI.
    """
    if "://" in path and not path.startswith(_LOCAL):
        return is_remote_run(path)
    return is_run(os.path.expanduser(_local_path(path)))


def _candidates(path: str) -> tuple[list[Candidate], list[Passed]]:
    """The files that a given path leads to, and what was passed over on the way."""
    if path.startswith(_LOCAL):
        found, passed = _local(_local_path(path))
        files = [replace(c, file=replace(c.file, path=_LOCAL + c.file.path)) for c in found]
        return files, [Passed(_LOCAL + p.path, p.why) for p in passed]
    if "://" not in path:
        return _local(os.path.expanduser(path))
    remote, passed = files_at(path)
    return [Candidate(file) for file in remote], passed


def _local_path(path: str) -> str:
    """The local path of a `file://` URI: as it is spelt if that exists, otherwise without percent encoding."""
    inner = path.removeprefix(_LOCAL)
    return inner if inner == path or os.path.lexists(inner) else unquote(inner)


def _local(path: str) -> tuple[list[Candidate], list[Passed]]:
    """Files of a local path, glob or folder, and what was passed over."""
    if shown(path) != path:
        raise SourceError(f"the name of {shown(path)} is not UTF-8: rename it, for example with convmv")
    if not path:
        return [], []
    if os.path.isdir(path):
        return files_below(path)
    if os.path.lexists(path) or not has_wildcard(path):
        return _given(path), []
    found, passed = matched(path)
    for one in found:
        check_readable(one.file.path)
    return found, passed


def _given(path: str) -> list[Candidate]:
    """A file that is named by the user: an error if it cannot be read."""
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []
        raise SourceError(f"cannot read input file {path}: {error.strerror}") from None
    check_readable(path)
    found = candidate(path)
    if found.file.error is not None:
        raise SourceError(f"cannot read input file {path}: {found.file.error.detail}")
    return [found]


def _not_found(path: str, passed: Sequence[Passed]) -> SourceError:
    """The error for a path without input files: it does not exist, or holds only `passed` files, or matches none."""
    if not path:
        return SourceError("an input path is empty: give a file, a glob, a folder or a URI")
    start = f"no input file matches {path!r}"
    expanded = os.path.expanduser(_local_path(path))
    remote = "://" in path and not path.startswith(_LOCAL)
    if passed:
        return SourceError(f"{start}{_what_is_there(path, passed)}")
    if remote and not has_wildcard(path):
        return SourceError(f"{start}: there is no such file, or its server does not answer")
    if not remote and os.path.isdir(expanded):
        return SourceError(f"{start}: the folder holds no files")
    if not remote and not has_wildcard(path):
        looked = "" if os.path.isabs(expanded) else f" (looked in {os.getcwd()})"
        return SourceError(f"{start}: there is no such file or folder{looked}")
    return SourceError(f"{start}; known: {_known()}")


def _what_is_there(path: str, passed: Sequence[Passed]) -> str:
    """What a path holds in place of input files, and what to do."""
    first, why = passed[0]
    if why == RUN and first.rstrip("/") == path.rstrip("/"):
        return f": it is the folder of a run that has kept no file (in {first}{KEPT})"
    if why == FOLDER_OF_A_GLOB:
        return f": only folders do, such as {first}; give them without a glob, or their files: {path.rstrip('/')}/**"
    unknown = [p.path for p in passed if p.why == UNKNOWN]
    if unknown:
        return f"; {len(unknown)} files there have unknown extensions, such as {unknown[0]}; known: {_known()}"
    return f": {len(passed)} there were passed over, such as {first} ({why}); give what is data by its own path"


def _known() -> str:
    return f"{', '.join(sorted(FORMATS))} (+ .gz, .zst, .bz2, .xz)"
