"""The folders below a local folder: linked ones are entered once, hidden ones and those of runs are passed over."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from raylib.errors import SourceError
from raylib.reading.candidates import Candidate, candidate, closed_folder
from raylib.reading.filesystems import file_format
from raylib.reading.found import (
    AGAIN,
    AROUND,
    KEPT,
    MANIFEST,
    RUN,
    RUN_INSIDE,
    UNKNOWN,
    WORK,
    Passed,
    shown,
    why_hidden,
)

__all__ = ["Folder", "Name", "Tree", "files_below", "is_run", "names_in", "tree_below"]


class Name(NamedTuple):
    """What a folder holds under a name.

    Attributes:
        name: The name.
        is_folder: Whether that is a folder, or a link to one.
        is_link: Whether it is a link.
    """

    name: str
    is_folder: bool
    is_link: bool


class Folder(NamedTuple):
    """A folder that was entered.

    Attributes:
        path: Its path.
        hops: Number of links on the way to it.
        names: What it holds, in the order of the names.
    """

    path: str
    hops: int
    names: tuple[Name, ...]


@dataclass
class Tree:
    """Everything below a folder that may hold data.

    Attributes:
        folders: The folders.
        passed: Folders that were passed over.
        closed: Folders that cannot be read.
        everything: Whether all names count, hidden ones too, because a run made them.
    """

    folders: list[Folder] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    closed: list[Candidate] = field(default_factory=list)
    everything: bool = False


def files_below(root: str) -> tuple[list[Candidate], list[Passed]]:
    """Files of known formats below a folder: of a run what it kept, of runs inside nothing.

    Args:
        root: Path of the folder.

    Returns:
        The files, those that cannot be read among them; and what was passed over.

    Raises:
        SourceError: The folder cannot be read, or its disk or server fails.
    """
    tree = tree_below(root)
    files, passed = list(tree.closed), list(tree.passed)
    for folder in tree.folders:
        for name, is_folder, is_link in folder.names:
            if is_folder:
                continue
            path = os.path.join(folder.path, name)
            why = "" if tree.everything else why_hidden(name)
            found = None if why else candidate(path, folder.hops + is_link)
            if found is not None and (found.file.error is not None or file_format(path)[0]):
                files.append(found)
            else:
                passed.append(Passed(shown(path), why or UNKNOWN))
    return files, sorted(passed)


def tree_below(root: str) -> Tree:
    """The folders below a folder that may hold data; each is entered once, whatever links lead to it.

    Args:
        root: Path of the folder. Of the folder of a run only what it kept is entered.

    Raises:
        SourceError: The folder cannot be read, or its disk or server fails.
    """
    try:
        names = names_in(root)
    except OSError as error:
        raise SourceError(f"cannot read folder {shown(root)}: {error.strerror}") from None
    walk = _Walk()
    if is_run(root):
        walk.tree.passed.append(Passed(_as_folder(root), RUN))
        root = os.path.join(root, KEPT)
        if not any(name == KEPT and is_folder for name, is_folder, _ in names):
            return walk.tree
    walk.tree.everything = is_kept(root)
    walk.all_below(root)
    return walk.tree


def is_run(folder: str) -> bool:
    """Whether a local folder is that of a run: it has a manifest, and folders of a run.

    Args:
        folder: Path of the folder.
    """
    return os.path.isfile(os.path.join(folder, MANIFEST)) and any(
        os.path.isdir(os.path.join(folder, name)) for name in (KEPT, WORK)
    )


def is_kept(folder: str) -> bool:
    """Whether a local folder is the one in which a run keeps records. Names in it may begin with a dot or underscore.

    Args:
        folder: Path of the folder.
    """
    parent, name = os.path.split(os.path.realpath(folder))
    return name == KEPT and is_run(parent)


def names_in(folder: str) -> tuple[Name, ...]:
    """What a folder holds, in the order of the names.

    Args:
        folder: Path of the folder; empty for the current one.

    Raises:
        OSError: The folder cannot be read.
    """
    with os.scandir(folder or ".") as entries:
        return tuple(sorted(Name(entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that cannot be followed: what is wrong with it is found when it is looked at as a file
        return False


def _as_folder(path: str) -> str:
    return f"{shown(path).rstrip('/')}/"


class _Walk:
    """Enters folders, those without links on the way first, then those behind one link, and so on."""

    def __init__(self) -> None:
        self.tree = Tree()
        self._entered: dict[tuple[int, int], str] = {}  # why a folder of this device and inode is not entered again

    def all_below(self, root: str) -> None:
        """Enter a folder and all below it."""
        around = os.path.realpath(root)
        while around != os.path.dirname(around):
            around = os.path.dirname(around)
            self._entered[_number(around)] = AROUND
        level, hops = [root], 0
        while level:
            level = [link for start in sorted(level) for link in self._real_folders_below(start, hops)]
            hops += 1

    def _real_folders_below(self, start: str, hops: int) -> list[str]:
        """Enter a folder and the real ones below it; gives the links to folders in them."""
        links: list[str] = []
        waiting = [start]
        while waiting:
            path = waiting.pop()
            if not self._may_enter(path, given=path == start and not hops):
                continue
            try:
                names = names_in(path)
            except OSError as error:
                self.tree.closed.append(closed_folder(path, error))
                continue
            self.tree.folders.append(Folder(path, hops, names))
            inner = [(os.path.join(path, n.name), n) for n in names if n.is_folder]
            links += [place for place, name in inner if name.is_link]
            waiting += [place for place, name in reversed(inner) if not name.is_link]
        return links

    def _may_enter(self, path: str, *, given: bool) -> bool:
        """Whether a folder may hold data that nothing has led to yet; if not, notes why."""
        why = "" if given or self.tree.everything else why_hidden(os.path.basename(path))
        if not why and not given and is_run(path):
            why = RUN_INSIDE
        if not why:
            try:
                number = _number(path)
            except OSError as error:
                self.tree.closed.append(closed_folder(path, error))
                return False
            why = self._entered.get(number, "")
            self._entered[number] = why or AGAIN
        if why:
            self.tree.passed.append(Passed(_as_folder(path), why))
        return not why


def _number(folder: str) -> tuple[int, int]:
    """Device and inode of a folder."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
