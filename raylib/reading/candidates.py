"""Local files that a search comes upon: what is wrong with each, and which of them are one file under several names."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from raylib.errors import SourceError
from raylib.reading.block import Unreadable
from raylib.reading.found import AGAIN, Passed, SourceFile, shown

__all__ = ["Candidate", "Claims", "candidate", "closed_folder"]

_NO_FILES = {
    stat.S_IFIFO: Unreadable("fifo", "a named pipe (FIFO), not a file"),
    stat.S_IFSOCK: Unreadable("socket", "a socket, not a file"),
    stat.S_IFCHR: Unreadable("device", "a device, not a file"),
    stat.S_IFBLK: Unreadable("device", "a device, not a file"),
    stat.S_IFDIR: Unreadable("folder", "a folder, not a file"),
}
_BROKEN = (errno.ENOENT, errno.ENOTDIR)
_CLOSED = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class Candidate:
    """A local file that a search came upon.

    Attributes:
        file: The file.
        hops: Number of links on the way to it.
        same: Device, inode and number of names of the file; None if it cannot be read.
        place: Its path as the system spells it.
    """

    file: SourceFile
    hops: int = 0
    same: tuple[int, int, int] | None = None
    place: str = ""


def candidate(path: str, hops: int = 0) -> Candidate:
    """A file as an input, with the reason why it cannot be read, if there is one. It is not opened.

    Args:
        path: Its path.
        hops: Number of links on the way to it.

    Raises:
        SourceError: The disk or server does not say what the file is; another attempt may succeed.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        return Candidate(SourceFile(shown(path), 0, 0, error=_of_error(path, error)), hops, None, path)
    wrong = _NO_FILES.get(stat.S_IFMT(status.st_mode)) or _closed_or_unnamed(path)
    if wrong is not None:
        return Candidate(SourceFile(shown(path), 0, 0, error=wrong), hops, None, path)
    file = SourceFile(path, status.st_size, status.st_mtime_ns)
    return Candidate(file, hops, (status.st_dev, status.st_ino, status.st_nlink), path)


def closed_folder(path: str, error: OSError) -> Candidate:
    """A folder inside another one that cannot be read: its files are lost, so it is a reject.

    Args:
        path: Its path.
        error: What the system said.

    Raises:
        SourceError: The disk or server failed; another attempt may succeed.
    """
    if error.errno not in _CLOSED:
        raise SourceError(f"cannot read folder {shown(path)}: {error.strerror}") from None
    wrong = Unreadable("unreadable_folder", f"none of its files can be read: {error.strerror}")
    return Candidate(SourceFile(shown(path), 0, 0, error=wrong), 0, None, path)


def _of_error(path: str, error: OSError) -> Unreadable:
    """Why the system does not tell what a file is."""
    if error.errno == errno.ELOOP:
        return Unreadable("link_loop", "a link that leads to itself")
    if error.errno in _BROKEN and os.path.islink(path):
        return Unreadable("broken_link", f"a link to {shown(os.readlink(path))}, which does not exist")
    if error.errno in _CLOSED:
        return Unreadable("no_permission", f"may not be read: {error.strerror}")
    raise SourceError(f"cannot read input file {shown(path)}: {error.strerror}") from None


def _closed_or_unnamed(path: str) -> Unreadable | None:
    """Why a file may not be read by this user, or cannot be named in a record; None if neither is so."""
    if not os.access(path, os.R_OK):
        return Unreadable("no_permission", f"may not be read: {os.strerror(errno.EACCES)}")
    if shown(path) == path:
        return None
    try:
        guess = f"; in GBK it is {os.fsencode(path).decode('gb18030')}"
    except UnicodeDecodeError:
        guess = ""
    return Unreadable("name_not_utf8", f"the name is not UTF-8{guess}: rename it, for example with convmv")


@dataclass
class Claims:
    """The files that are read, each once, however many names lead to it."""

    _paths: set[str] = field(default_factory=set)
    _places: dict[tuple[int, int], list[str]] = field(default_factory=dict)  # by device and inode

    def admit(self, candidates: Sequence[Candidate]) -> tuple[list[SourceFile], list[Passed]]:
        """Take files in, unless they are there already.

        Of several names of one file the one with the fewest links on the way is taken, and the first of these. So
        neither the order of a listing nor a new link changes the name of a file.

        Args:
            candidates: The files that one given path leads to.

        Returns:
            The new files in the order of their paths, and those that are there already.
        """
        files: list[SourceFile] = []
        passed: list[Passed] = []
        for found in sorted(candidates, key=lambda c: (c.hops, c.file.path)):
            if self._is_new(found):
                files.append(found.file)
            else:
                passed.append(Passed(found.file.path, AGAIN))
        return sorted(files, key=lambda file: file.path), passed

    def _is_new(self, found: Candidate) -> bool:
        place = found.place or found.file.location
        if place in self._paths:
            return False
        if found.same is not None:
            device, inode, names = found.same
            places = self._places.setdefault((device, inode), [])
            # Some network file systems give several files one inode. It is the same file if it says that it has
            # several names, or if links lead to the same place.
            if places and (names > 1 or os.path.realpath(found.place) in map(os.path.realpath, places)):
                return False
            places.append(found.place)
        self._paths.add(place)
        return True
