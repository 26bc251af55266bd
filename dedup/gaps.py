"""What folding leaves out because of its neighbours: white space and marks between words, never those inside a formula.

A gap is a run of white space and marks. Between two Han words it goes; between two Latin words or numbers it leaves one
space, so that 3 and 5 in a list are not 35; inside 3.14, 12:30, f(x), C++ or a<b it stays as it is. Beginnings and ends
of texts are like Han words: nothing is glued together there. The loops are compiled: `dedup.gap_kernels`.
"""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np
import numpy.typing as npt

from cleaning.codepoints import CodePoints, Flags
from dedup.characters import DECORATIONS, Class, Level, classes, expansions, forms, lower_case

__all__ = ["formed", "squeezed", "without_gaps"]

_SPACE = np.uint32(0x20)


def _kernels() -> tuple[ModuleType, ModuleType]:
    from dedup import form_kernels, gap_kernels  # noqa: PLC0415 - numba takes a while to load

    return form_kernels, gap_kernels


def formed(view: CodePoints, level: Level, marks: bool) -> tuple[CodePoints, npt.NDArray[np.int64]]:
    """The texts with the form of each character in its place.

    Args:
        view: Code points of N texts.
        level: How much is ignored, from `strict` on.
        marks: Whether marks of the same meaning become one, as in shingles.

    Returns:
        The texts, and which of them are wrong, because they have characters whose form depends on others.
    """
    out, borders, special = np.empty(len(view.values), np.uint32), _borders(view), np.zeros(len(view.lengths), np.bool_)
    kernels, _ = _kernels()
    several = kernels.form_all(view.values, view.starts, forms(level, marks), out, borders, special)
    found = CodePoints(out[: borders[-1]], borders)
    if several:
        pieces, limits = expansions(level, marks)
        most = borders[-1] + several * (np.diff(limits).max() - 1)
        out, borders = np.empty(most, np.uint32), _borders(view)
        kernels.expand(found.values, found.starts, pieces, limits, out, borders)
        found = CodePoints(out[: borders[-1]], borders)
    return found, np.flatnonzero(special)


def _borders(view: CodePoints) -> npt.NDArray[np.int64]:
    return np.zeros(len(view.starts), np.int64)


def squeezed(view: CodePoints) -> CodePoints:
    """The texts with each run of white space as one space, for shingles.

    Args:
        view: Code points of texts whose white space is spaces.
    """
    space = view.values == _SPACE
    again = space[1:] & space[:-1]
    inner = view.starts[1:-1]
    again[inner[(inner > 0) & (inner <= len(again))] - 1] = False  # a text's first character has none before it
    kept = np.concatenate([[True], ~again])[: len(space)]
    return _taken(view.values, kept, view.starts)


def _taken(values: npt.NDArray[np.unsignedinteger], kept: Flags, starts: npt.NDArray[np.int64]) -> CodePoints:
    """The texts without some of their characters, which are few."""
    gone = np.flatnonzero(~kept)
    if len(gone) == 0:
        return CodePoints(values, starts)
    return CodePoints(values[kept], starts - np.searchsorted(gone, starts))


def without_gaps(view: CodePoints, level: Level) -> CodePoints:
    """The texts without the white space and the marks that the level ignores, in lower case where it ignores case.

    Args:
        view: Code points of texts, as `formed` gives them.
        level: How much is ignored, from `strict` on.
    """
    _, kernels = _kernels()
    out, borders = np.empty(len(view.values), np.uint32), _borders(view)
    if level == "strict":
        kernels.close_spaces(view.values, view.starts, classes(level), out, borders)
    else:
        kernels.close_gaps(view.values, view.starts, classes("standard"), lower_case(), out, borders)
    found = CodePoints(out[: borders[-1]], borders)
    if level != "loose":
        return found
    out, borders = np.empty(len(found.values), np.uint32), _borders(found)
    kernels.unadorn(found.values, found.starts, _undecorated(), out, borders)
    return CodePoints(out[: borders[-1]], borders)


@functools.lru_cache(maxsize=1)
def _undecorated() -> npt.NDArray[np.uint8]:
    """The class of each character of the BMP, where decorations are white space, [65536]."""
    table: npt.NDArray[np.uint8] = classes("standard").copy()
    table[[ord(c) for c in DECORATIONS]] = Class.SPACE
    return table
