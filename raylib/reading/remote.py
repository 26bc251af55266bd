"""Files of a URI: a file, a folder or a glob, by the same rules as on a local disk."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.fs as pafs

from raylib.reading.filesystems import file_format, located_uri, open_filesystem, split_query
from raylib.reading.found import HIDDEN, KEPT, MANIFEST, RUN, RUN_INSIDE, UNKNOWN, WORK, Passed, SourceFile, why_hidden
from raylib.reading.patterns import has_wildcard, matches, parts_of

__all__ = ["files_at", "is_remote_run"]


def files_at(uri: str) -> tuple[list[SourceFile], list[Passed]]:
    """Files of a URI, and what was passed over.

    Args:
        uri: URI of a file, a folder or a glob. What exists is taken as it is, whatever characters its name holds.

    Raises:
        SourceError: The URI cannot be opened.
    """
    uri, query = split_query(uri)
    place = _Place(uri, query)
    if place.kind == pafs.FileType.File:
        return [place.file(place.info)], []
    if place.kind == pafs.FileType.Directory:
        return _below(place, place.listing())
    if not has_wildcard(uri):
        return [], []
    base, pattern = _literal_folder(uri, query)
    place = _Place(base, query)
    return _matched(place, place.listing(), pattern) if place.kind == pafs.FileType.Directory else ([], [])


def is_remote_run(uri: str) -> bool:
    """Whether a URI is that of the folder of a run.

    Args:
        uri: The URI.
    """
    place = _Place(*split_query(uri.rstrip("/")))
    inner = place.info.path.rstrip("/")
    infos = place.system.get_file_info([f"{inner}/{name}" for name in (MANIFEST, KEPT, WORK)])
    return bool(infos[0].type == pafs.FileType.File) and any(i.type == pafs.FileType.Directory for i in infos[1:])


class _Place:
    """A URI without wildcards, and what is there.

    Args:
        uri: The URI without its query.
        query: The query, with its question mark.
    """

    def __init__(self, uri: str, query: str) -> None:
        self.query = query
        self.system, inner = open_filesystem(f"{uri}{query}" if not has_wildcard(uri) else located_uri(uri) + query)
        self.info = self.system.get_file_info(inner)
        self._prefix = uri[: len(uri) - len(inner)] if uri.endswith(inner) else uri.split("://", 1)[0] + "://"

    @property
    def kind(self) -> pafs.FileType:
        """Whether it is a file, a folder, or nothing."""
        return self.info.type

    def listing(self) -> list[tuple[list[str], pafs.FileInfo]]:
        """All files below the folder, with the parts of their paths in it; markers of folders are no files."""
        root = self.info.path.rstrip("/")
        infos = self.system.get_file_info(pafs.FileSelector(self.info.path, recursive=True))
        folders = {i.path.rstrip("/") for i in infos if i.type == pafs.FileType.Directory}
        files = [i for i in infos if i.type == pafs.FileType.File]
        files = [i for i in files if i.size or not (i.path.endswith("/") or i.path in folders)]
        return [(parts_of(i.path[len(root) :]), i) for i in sorted(files, key=lambda i: i.path)]

    def file(self, info: pafs.FileInfo) -> SourceFile:
        """A file as an input."""
        return SourceFile(self._prefix + info.path, info.size or 0, info.mtime_ns or 0, self.query)

    def shown(self, parts: Sequence[str], *, folder: bool = False) -> str:
        """A path below the folder, for messages."""
        return "/".join([self._prefix + self.info.path.rstrip("/"), *parts]) + "/" * folder


_Listing = list[tuple[list[str], pafs.FileInfo]]


def _below(place: _Place, listing: _Listing) -> tuple[list[SourceFile], list[Passed]]:
    """Files of known formats below a folder: of a run what it kept, of runs inside nothing."""
    runs = _runs(listing)
    files: list[SourceFile] = []
    passed: dict[Passed, None] = {}
    everything = place.info.path.rstrip("/").endswith(f"/{KEPT}") and is_remote_run(_parent(place))
    for parts, info in listing:
        if () in runs:
            passed[Passed(place.shown([], folder=True), RUN)] = None
            if parts[0] != KEPT:
                continue
        over = None if everything or () in runs else _passed_over(place, parts, runs)
        if over is None and not file_format(info.path)[0]:
            over = Passed(place.shown(parts), UNKNOWN)
        if over is not None:
            passed[over] = None
        else:
            files.append(place.file(info))
    return files, list(passed)


def _parent(place: _Place) -> str:
    return place.shown([]).removesuffix(f"/{KEPT}") + place.query


def _runs(listing: _Listing) -> set[tuple[str, ...]]:
    """Folders of runs in a listing: those with a manifest, and folders of a run."""
    manifests = {tuple(parts[:-1]) for parts, _ in listing if parts[-1] == MANIFEST}
    if not manifests:
        return set()
    inner = {tuple(parts[:i]) for parts, _ in listing for i, part in enumerate(parts[:-1]) if part in (KEPT, WORK)}
    return manifests & inner


def _passed_over(place: _Place, parts: Sequence[str], runs: set[tuple[str, ...]]) -> Passed | None:
    """Which folder of a file's path, or its name, says that it is no data; None if nothing does."""
    for i, name in enumerate(parts):
        last = i == len(parts) - 1
        if why := why_hidden(name):
            return Passed(place.shown(parts[: i + 1], folder=not last), why)
        if not last and tuple(parts[: i + 1]) in runs:
            return Passed(place.shown(parts[: i + 1], folder=True), RUN_INSIDE)
    return None


def _literal_folder(uri: str, query: str) -> tuple[str, list[str]]:
    """The longest folder at the beginning of a glob that is there as it is spelt, and the parts behind it."""
    scheme, rest = uri.split("://", 1)
    parts = rest.split("/")
    first = next(i for i, part in enumerate(parts) if has_wildcard(part))
    while first < len(parts) - 1:
        longer = f"{scheme}://{'/'.join(parts[: first + 1])}"
        if has_wildcard(parts[first]) and _Place(longer, query).kind != pafs.FileType.Directory:
            break
        first += 1
    return f"{scheme}://{'/'.join(parts[:first])}", parts_of("/".join(parts[first:]))


def _matched(place: _Place, listing: _Listing, pattern: Sequence[str]) -> tuple[list[SourceFile], list[Passed]]:
    """Files that the parts of a pattern match below a folder; `**` passes over what a folder would."""
    files: list[SourceFile] = []
    passed: dict[Passed, None] = {}
    runs = _runs(listing) if "**" in pattern else set()
    for parts, info in listing:
        run = next((parts[:i] for i in range(len(parts)) if tuple(parts[:i]) in runs), None)
        if run is not None and parts[len(run)] != KEPT and matches(parts, pattern):
            passed[Passed(place.shown(run, folder=True), RUN_INSIDE if run else RUN)] = None
        elif matches(parts, pattern):
            files.append(place.file(info))
        elif matches(parts, pattern, lambda _, __: ""):
            passed[_passed_over(place, parts, set()) or Passed(place.shown(parts), HIDDEN)] = None
    return files, list(passed)
