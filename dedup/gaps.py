"""What folding leaves out because of its neighbours: white space and marks between words, never those inside a formula.

A gap is a run of white space and marks. Between two Han words it goes; between two Latin words or numbers it leaves one
space, so that 3 and 5 in a list are not 35; inside 3.14, 12:30, f(x), C++ or a<b it stays as it is. Places of gaps are
sparse, so all of this works on a few arrays of a tenth of the text's length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cleaning.codepoints import CodePoints, Flags
from dedup.characters import DECORATIONS, Class, Level, classes, lower_case

__all__ = ["owners_of", "squeezed", "taken", "without_gaps"]

_SPACE = np.uint32(0x20)
_NEWLINE = np.uint32(0x0A)
_COMMA = np.uint32(0x2C)
_COLON = np.uint32(0x3A)
_CLOSING = np.uint32(0x29)
_HYPHEN = np.uint32(0x2D)
_MIDDLE_DOT = np.uint32(0xB7)
_LONG_DASH = np.uint32(0x2014)
_QUOTES = np.array([0x22, 0x27], np.uint32)
_EDGE = Class.WIDE  # beginnings and ends of texts are like Han words: nothing is glued together there

Values = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Runs:
    """Runs of consecutive places inside one text.

    Attributes:
        at: The places, sorted, [G].
        run: Number of the run of each place, [G].
        left: Class of what stands before each run, [R].
        right: Class of what stands behind it, [R].
    """

    at: Places
    run: Places
    left: Kinds
    right: Kinds

    def any(self, flags: Flags) -> Flags:
        """Whether any place of each run has the flag, [R]."""
        return np.bincount(self.run[flags], minlength=len(self.left)) > 0

    def first(self, flags: Flags) -> Places:
        """Positions in `at` of the first flagged place of each run that has one."""
        found = np.flatnonzero(flags)
        return found[np.concatenate([[True], self.run[found][1:] != self.run[found][:-1]])] if len(found) else found


def _runs(at: Places, kind: Kinds, starts: Places) -> _Runs:
    """Runs of the places `at`; `kind` is the class of each character of all texts."""
    owner = np.searchsorted(starts, at, side="right")
    opens = np.ones(len(at), np.bool_)
    opens[1:] = (at[1:] != at[:-1] + 1) | (owner[1:] != owner[:-1])
    closes = np.append(opens[1:], True)
    first, last = at[opens], at[closes] + 1
    left = np.where(first > starts[owner[opens] - 1], kind[first - 1], _EDGE)
    right = np.where(last < starts[owner[closes]], kind[np.minimum(last, len(kind) - 1)], _EDGE)
    return _Runs(at, np.cumsum(opens) - 1, left.astype(np.uint8), right.astype(np.uint8))


def _gaps(values: Values, kind: Kinds, flags: Flags, starts: Places) -> Places:
    """Places of gaps, without single spaces between letters or digits of one text: these stay as they are."""
    at = np.flatnonzero(flags)
    if len(at) == 0:
        return at
    before, after = kind[at - 1], kind[np.minimum(at + 1, len(kind) - 1)]
    words = (before == Class.LETTER) | (before == Class.DIGIT)
    words &= (after == Class.LETTER) | (after == Class.DIGIT)
    words &= values[at] == _SPACE
    for edges in (starts, starts - 1):  # the first and the last character of each text
        found = np.searchsorted(at, edges)
        found = found[found < len(at)]
        words[found] &= ~np.isin(at[found], edges)
    out: Places = at[~words]
    return out


def _kinds(values: Values, level: Level) -> Kinds:
    if len(values) == 0 or values.max() < 0x10000:
        return classes(level)[values.astype(np.uint16)]
    kind = classes(level)[np.minimum(values, 0xFFFF).astype(np.uint16)]
    kind[(values >= 0x20000) & (values < 0x33480)] = Class.WIDE
    return kind


def owners_of(at: Places, starts: Places) -> Places:
    """The text of each place, [G].

    Args:
        at: Places in texts, [G].
        starts: Where each text begins, and at the end where the last one ends, [N + 1].
    """
    return np.searchsorted(starts, at, side="right") - 1


def taken(values: Values, kept: Flags, starts: Places) -> CodePoints:
    """The texts without some of their characters, which are few.

    Args:
        values: Characters of all texts, [T].
        kept: Which of them stay, [T].
        starts: Where each text begins, and at the end where the last one ends, [N + 1].
    """
    gone = np.flatnonzero(~kept)
    if len(gone) == 0:
        return CodePoints(values, starts)
    return CodePoints(values[kept], starts - np.searchsorted(gone, starts))


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
    return taken(view.values, kept, view.starts)


def without_gaps(view: CodePoints, level: Level) -> CodePoints:
    """The texts without the white space and the marks that the level ignores, in lower case where it ignores case.

    Args:
        view: Code points of texts, as `dedup.characters.form` makes them.
        level: How much is ignored, from `strict` on.
    """
    values, kind = view.values.copy(), _kinds(view.values, level)
    kept = np.ones(len(values), np.bool_)
    if level == "strict":
        _close_spaces(values, kind, kept, view.starts)
    else:
        _lower(values, kind, view.starts)
        _close_gaps(values, kind, kept, view.starts)
    out = taken(values, kept, view.starts)
    return _unadorned(out) if level == "loose" else out


def _lower(values: Values, kind: Kinds, starts: Places) -> None:
    """Fold case, but not in the first two letters behind a number: 5 mW is not 5 MW."""
    at = np.flatnonzero(kind == Class.LETTER)
    if len(at) == 0:
        return
    low = np.minimum(values[at], 0xFFFF).astype(np.uint16)
    folded = lower_case()[low]
    capital = (folded != low) & (low < 0xFFFF)
    at, folded = at[capital], folded[capital]
    begin = starts[np.searchsorted(starts, at, side="right") - 1]

    def before(steps: int, wanted: Class) -> Flags:
        return np.asarray((at - steps >= begin) & (kind[np.maximum(at - steps, 0)] == wanted), np.bool_)

    after_number = [
        before(1 + more, Class.DIGIT) | (before(1 + more, Class.SPACE) & before(2 + more, Class.DIGIT))
        for more in (0, 1)
    ]
    plain = ~(after_number[0] | (before(1, Class.LETTER) & after_number[1]))
    values[at[plain]] = folded[plain]


def _close_spaces(values: Values, kind: Kinds, kept: Flags, starts: Places) -> None:
    """Strict: white space beside Han goes, elsewhere a run is one space, or one line break and an indentation."""
    at = _gaps(values, kind, kind == Class.SPACE, starts)
    if len(at) == 0:
        return
    runs = _runs(at, kind, starts)
    kept[at] = False
    hard = ((runs.left != Class.WIDE) & (runs.right != Class.WIDE))[runs.run]
    breaks = values[at] == _NEWLINE
    lines = runs.any(breaks)[runs.run]
    one = runs.first(hard & ~lines)
    values[at[one]] = _SPACE
    kept[at[one]] = True
    last = np.full(len(runs.left), -1, np.int64)
    last[runs.run[breaks]] = at[breaks]  # of several in a run the last one is written last
    kept[at[hard & lines & (at >= last[runs.run])]] = True


def _close_gaps(values: Values, kind: Kinds, kept: Flags, starts: Places) -> None:
    """Standard: see the module; writes `kept`, and the spaces that gaps become into `values`."""
    at = _gaps(values, kind, kind >= Class.SPACE, starts)
    if len(at) == 0:
        return
    runs = _runs(at, kind, starts)
    soft = (runs.left == Class.WIDE) & (runs.right == Class.WIDE)
    kept[at[soft[runs.run]]] = False
    rest = at[~soft[runs.run]]
    signs = kind[rest] >= Class.BRACKET
    values[rest[values[rest] == _LONG_DASH]] = _HYPHEN
    at = rest[~signs]
    if len(at) == 0:
        return
    runs = _runs(at, kind, starts)
    here, mark = kind[at], values[at]
    both = (runs.left != Class.WIDE) & (runs.right != Class.WIDE)
    tight = both & ~runs.any((here == Class.SPACE) | (here == Class.PAUSE))
    commas = ~runs.any(here != Class.COMMA)
    numbers = (runs.left == Class.DIGIT) & (runs.right == Class.DIGIT)
    alone = np.bincount(runs.run, minlength=len(both)) == 1
    stays = (tight & ~commas)[runs.run] | ((tight & numbers & alone)[runs.run] & (mark == _COMMA))
    stays |= _always_kept(values, kind, at, starts)
    stays |= (mark == _COLON) & numbers[runs.run]
    stays |= (mark == _MIDDLE_DOT) & both[runs.run]
    kept[at] = stays
    words = (runs.left <= Class.DIGIT) & (runs.right <= Class.DIGIT) & both
    lost = ~stays & (here != Class.SPACE)
    bare = words & ~runs.any(stays | lost)
    one = np.concatenate([runs.first(lost & both[runs.run]), runs.first(bare[runs.run])])
    values[at[one]] = _SPACE
    kept[at[one]] = True


def _always_kept(values: Values, kind: Kinds, at: Places, starts: Places) -> Flags:
    """Marks that belong to one neighbour, whatever the other is: .5, .NET, 5!, n!, != and 5'."""
    owner = np.searchsorted(starts, at, side="right")
    begin, end = starts[owner - 1], starts[owner]
    before = np.where(at > begin, kind[at - 1], _EDGE)
    second = np.where(at - 1 > begin, kind[at - 2], _EDGE)
    after = np.where(at + 1 < end, kind[np.minimum(at + 1, len(kind) - 1)], _EDGE)
    here = kind[at]
    word = (after == Class.LETTER) | (after == Class.DIGIT)
    closed = (at > begin) & (values[at - 1] == _CLOSING)
    factor = (before == Class.DIGIT) | closed | ((before == Class.LETTER) & (second != Class.LETTER))
    out = (here == Class.DOT) & word
    out |= (here == Class.BANG) & (factor | (after == Class.SIGN))
    out |= (before == Class.DIGIT) & np.isin(values[at], _QUOTES)
    return np.asarray(out, np.bool_)


def _unadorned(view: CodePoints) -> CodePoints:
    """Loose: texts without decorations, and without spaces between letters."""
    values, kind = view.values.copy(), _kinds(view.values, "standard")
    adorns = np.isin(values, np.array(sorted(map(ord, DECORATIONS)), np.uint32))
    adorns |= (values >= 0x1F300) & (values < 0x1FB00)
    at = np.flatnonzero(adorns | (values == _SPACE))
    if len(at) == 0:
        return view
    kind[adorns] = Class.SPACE
    runs = _runs(at, kind, view.starts)
    letters = (runs.left == Class.LETTER) & (runs.right == Class.LETTER)
    both = (runs.left != Class.WIDE) & (runs.right != Class.WIDE)
    one = runs.first((both & ~letters)[runs.run])
    kept = np.ones(len(values), np.bool_)
    kept[at] = False
    kept[at[one]] = True
    values[at[one]] = _SPACE
    return taken(values, kept, view.starts)
