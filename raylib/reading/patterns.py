"""Globs: parts of a path that exist are taken as they are, wildcards pass hidden names over, `**` enters folders."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence

from raylib.errors import SourceError
from raylib.reading.candidates import Candidate, candidate, closed_folder
from raylib.reading.found import FOLDER_OF_A_GLOB, Passed, shown, why_hidden
from raylib.reading.walking import Name, names_in, tree_below

__all__ = ["has_wildcard", "matched", "matches", "parts_of"]

_ANY_DEPTH = "**"


def has_wildcard(path: str) -> bool:
    """Whether a path may be a glob.

    Args:
        path: The path, or a part of it.
    """
    return any(c in path for c in "*?[")


def parts_of(pattern: str) -> list[str]:
    """The parts of a path between its slashes.

    Args:
        pattern: The path.
    """
    return [part for part in pattern.split("/") if part]


def matched(pattern: str) -> tuple[list[Candidate], list[Passed]]:
    """Files that a local glob matches.

    Args:
        pattern: The glob.

    Returns:
        The files, those that cannot be read among them; and what was passed over.

    Raises:
        SourceError: A folder cannot be read, or its disk or server fails.
    """
    glob = _Glob()
    found = dict(glob.below("/" if pattern.startswith("/") else "", parts_of(pattern), 0))
    files = list(glob.closed)
    for path, hops in found.items():
        if os.path.isdir(path):
            glob.passed.append(Passed(f"{shown(path)}/", FOLDER_OF_A_GLOB))
        else:
            files.append(candidate(path, hops))
    return files, sorted(set(glob.passed))


class _Glob:
    """Follows the parts of a pattern, and notes what it passes over and what it cannot read."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self.closed: list[Candidate] = []

    def below(self, base: str, parts: Sequence[str], hops: int) -> Iterator[tuple[str, int]]:
        """Paths below a folder that parts of a pattern match, with the number of links that wildcards came upon."""
        if not parts:
            yield base, hops
            return
        part, *rest = parts
        path = os.path.join(base, part)
        if part == _ANY_DEPTH:
            yield from self._at_any_depth(base, rest, hops)
        elif os.path.lexists(path):
            yield from self.below(path, rest, hops)
        elif has_wildcard(part):
            for name in self._names(base):
                if not fnmatch.fnmatch(name.name, part) or (rest and not name.is_folder):
                    continue
                inner = os.path.join(base, name.name)
                if why := _hidden(name.name, part):
                    self.passed.append(Passed(f"{shown(inner)}{'/' * name.is_folder}", why))
                else:
                    yield from self.below(inner, rest, hops + name.is_link)

    def _at_any_depth(self, base: str, rest: Sequence[str], hops: int) -> Iterator[tuple[str, int]]:
        if not os.path.isdir(base or "."):
            return
        tree = tree_below(base or ".")
        self.passed += tree.passed
        self.closed += tree.closed
        for folder in tree.folders:
            path = folder.path if base else os.path.relpath(folder.path)
            path = "" if path == "." else path
            if rest:
                yield from self.below(path, rest, hops + folder.hops)
                continue
            for name in folder.names:
                inner = os.path.join(path, name.name)
                if not name.is_folder and (why := _hidden(name.name, "*")):
                    self.passed.append(Passed(shown(inner), why))
                elif not name.is_folder:
                    yield inner, hops + folder.hops + name.is_link

    def _names(self, base: str) -> tuple[Name, ...]:
        if not os.path.isdir(base or "."):
            return ()
        try:
            return names_in(base)
        except OSError as error:
            if not has_wildcard(base):
                raise SourceError(f"cannot read folder {shown(base)}: {error.strerror}") from None
            self.closed.append(closed_folder(base, error))
            return ()


def _hidden(name: str, part: str) -> str:
    """Why a wildcard does not stand for a name; a pattern that names the dot or underscore means hidden names."""
    return "" if part.startswith((".", "_")) else why_hidden(name)


def matches(names: Sequence[str], parts: Sequence[str], is_hidden: Callable[[str, str], str] = _hidden) -> bool:
    """Whether the parts of a pattern match the names of a path.

    Args:
        names: The names, from the top folder to the file.
        parts: The parts of the pattern.
        is_hidden: Tells for a name and a part why the part does not stand for the name.
    """
    if not parts:
        return not names
    part, *rest = parts
    if part == _ANY_DEPTH:
        if matches(names, rest or ["*"], is_hidden):
            return True
        return bool(names) and not is_hidden(names[0], "*") and matches(names[1:], parts, is_hidden)
    if not names:
        return False
    here = names[0] == part or (fnmatch.fnmatchcase(names[0], part) and not is_hidden(names[0], part))
    return here and matches(names[1:], rest, is_hidden)
