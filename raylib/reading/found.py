"""What the search for input files finds: files, those that cannot be read, and what it passes over."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from raylib.paths import absolute
from raylib.reading.block import Unreadable
from raylib.reading.filesystems import located_uri

__all__ = [
    "AGAIN",
    "AROUND",
    "FOLDER_OF_A_GLOB",
    "HIDDEN",
    "KEPT",
    "MANIFEST",
    "RUN",
    "RUN_INSIDE",
    "SYSTEM",
    "UNKNOWN",
    "WORK",
    "Found",
    "Passed",
    "SourceFile",
    "by_reason",
    "passed_lines",
    "shown",
    "why_hidden",
]

MANIFEST, KEPT, WORK = "manifest.jsonl", "kept", ".work"  # of the folder of a run

UNKNOWN = "unknown extension"
HIDDEN = "hidden: the name begins with . or _"
SYSTEM = "kept by the operating system or the storage"
RUN = "the folder of a run: only what it kept is read"
RUN_INSIDE = "folder of a run; what it kept is read if its own path is given"
AGAIN = "the same as one that is read already"
AROUND = "link to a folder around it"
FOLDER_OF_A_GLOB = "folder that a glob matches"

_SYSTEM_NAMES = frozenset({"lost+found", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "#recycle"})
_NAMED = 3  # of what was passed over for one reason, in a line


@dataclass(frozen=True)
class SourceFile:
    """One input file: its path, and what identifies its content.

    Attributes:
        path: Path or URI as the user knows it, of which ids are made. Bytes of a name that are not UTF-8 are written as
            numbers.
        size: Size in bytes.
        modified_ns: Time of the last change in nanoseconds since 1970; 0 if the file system does not know it.
        query: How the storage is reached, `?endpoint_override=...`; no part of ids.
        error: Why it cannot be read, where that is known before it is opened. Such a file becomes one reject.
        location: Where the file is opened: its absolute path, or its URI with the query. Workers run in other folders
            than the command, so a relative path means nothing to them.
    """

    path: str
    size: int
    modified_ns: int
    query: str = field(default="", compare=False)
    error: Unreadable | None = None
    location: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        place = located_uri(self.path) if "://" in self.path else absolute(self.path)
        object.__setattr__(self, "location", place + self.query)

    def identity(self) -> dict[str, object]:
        """What fingerprints go by: the path as given, so that a run can be continued from another folder."""
        known: dict[str, object] = {"path": self.path, "size": self.size, "modified_ns": self.modified_ns}
        return known if self.error is None else {**known, "error": list(self.error)}


class Passed(NamedTuple):
    """A file or folder that was passed over.

    Attributes:
        path: Its path; that of a folder ends with `/`, and stands for everything below it.
        why: Why.
    """

    path: str
    why: str


class Found(NamedTuple):
    """The result of a search.

    Attributes:
        files: The input files, those that cannot be read among them.
        passed: What was passed over.
    """

    files: list[SourceFile]
    passed: list[Passed]


def shown(path: str) -> str:
    """A path as text that every file and terminal can hold: bytes that are not UTF-8 are written as numbers."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    return path


def why_hidden(name: str) -> str:
    """Why a file or folder of this name is no data; empty if it may be.

    Args:
        name: Its name without folders.
    """
    if name in _SYSTEM_NAMES:
        return SYSTEM
    return HIDDEN if name.startswith((".", "_")) else ""


def by_reason(passed: Iterable[Passed], most: int) -> dict[str, tuple[int, list[str]]]:
    """How many files and folders were passed over for each reason, and the first of their paths.

    Args:
        passed: What was passed over.
        most: Number of paths to name for each reason.
    """
    paths: dict[str, list[str]] = defaultdict(list)
    for path, why in passed:
        paths[why].append(path)
    return {why: (len(found), found[:most]) for why, found in sorted(paths.items())}


def passed_lines(skipped: Mapping[str, tuple[int, Sequence[str]]]) -> list[str]:
    """What was passed over, in words: one line for each reason.

    Args:
        skipped: Number and first paths by reason, as `by_reason` gives them.
    """
    lines = []
    for why, (count, paths) in skipped.items():
        more = ", ..." if count > len(paths[:_NAMED]) else ""
        named = ", ".join(_printable(path) for path in paths[:_NAMED])
        lines.append(f"passed over {count:,} ({why}): {named}{more}")
    return lines


def _printable(path: str) -> str:
    """A path in one line, without what would steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)
