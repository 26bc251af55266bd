"""Compiled loops that close the gaps between words.

`dedup.gaps` says what a gap is. Classes of characters come as numbers; they are written here once more, because numba
keeps machine code until this file changes, and does not look at others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from raylib.compiled import compiled

__all__ = ["close_gaps", "close_spaces", "unadorn"]

_WIDE, _LETTER, _DIGIT, _SIGN, _BLANK, _PAUSE, _COMMAS, _DOT, _BANG, _INNER, _BRACKET = range(11)
_LOOSE = 1 << _BLANK | 1 << _PAUSE
_DIVIDING = _LOOSE | 1 << _COMMAS | 1 << _DOT
_SPACE, _NEWLINE = np.uint32(0x20), np.uint32(0x0A)
_COMMA, _COLON, _MIDDLE_DOT, _CLOSING = np.uint32(0x2C), np.uint32(0x3A), np.uint32(0xB7), np.uint32(0x29)
_QUOTE, _APOSTROPHE = np.uint32(0x22), np.uint32(0x27)
_HYPHEN, _LONG_DASH = np.uint32(0x2D), np.uint32(0x2014)

Values = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]


@compiled(nogil=True)
def _kinds(values: Values, classes: Kinds) -> Kinds:
    """The class of each character."""
    kind = np.empty(len(values), np.uint8)
    for at in range(len(values)):
        value = values[at]
        if value <= 0xFFFF:
            kind[at] = classes[value]
        else:
            kind[at] = _WIDE if 0x20000 <= value < 0x33480 else classes[0xFFFF]
    return kind


@compiled(nogil=True)
def _run(kind: Kinds, first: int, end: int, least: int, most: int) -> int:
    """Where the run of places ends whose classes lie from `least` to `most`."""
    at = first
    while at < end and least <= kind[at] <= most:
        at += 1
    return at


@compiled(nogil=True)
def _sides(kind: Kinds, first: int, last: int) -> tuple[int, int]:
    """The classes of what stands before and behind a gap; the edges of a text are like Han words."""
    return kind[first - 1] if first > 0 else _WIDE, kind[last] if last < len(kind) else _WIDE


@compiled(nogil=True)
def close_spaces(values: Values, starts: Places, classes: Kinds, out: Values, borders: Places) -> None:
    """Strict: white space beside Han goes, elsewhere a run is one space, or one line break and an indentation.

    Args:
        values: Forms of the characters of N texts, [T].
        starts: Where each text begins, and at the end T, [N + 1].
        classes: The class of each character of the BMP, and at its end that of all above it, [65536].
        out: The texts, at most T.
        borders: Where each text begins in `out`, and at the end where the last one ends, [N + 1].
    """
    kinds = _kinds(values, classes)
    place = 0
    for row in range(len(starts) - 1):
        text, kind = values[starts[row] : starts[row + 1]], kinds[starts[row] : starts[row + 1]]
        gap = _uneven(text, kind)
        at = 0
        while at < len(text):
            if not gap[at]:
                out[place] = text[at]
                place += 1
                at += 1
                continue
            last = _run(kind, at, len(text), _BLANK, _BLANK)
            left, right = _sides(kind, at, last)
            if left > _WIDE and right > _WIDE:
                place = _space(text, at, last, out, place)
            at = last
        borders[row + 1] = place


@compiled(nogil=True)
def _uneven(text: Values, kind: Kinds) -> npt.NDArray[np.bool_]:
    """Where gaps are, without single spaces between letters or digits: these, which are most, stay as they are."""
    gap = np.empty(len(kind), np.bool_)
    if len(kind) > 0:
        gap[0], gap[-1] = kind[0] >= _BLANK, kind[-1] >= _BLANK
    for at in range(1, len(kind) - 1):
        words = (kind[at - 1] == _LETTER) | (kind[at - 1] == _DIGIT)
        words &= (kind[at + 1] == _LETTER) | (kind[at + 1] == _DIGIT)
        gap[at] = (kind[at] >= _BLANK) & ~(words & (text[at] == _SPACE))
    return gap


@compiled(nogil=True)
def _space(text: Values, first: int, last: int, out: Values, place: int) -> int:
    """Write the white space between two words: one space, or what begins with its last line break."""
    begin = last
    while begin > first and text[begin - 1] != _NEWLINE:
        begin -= 1
    if begin == first:  # there is no line break
        out[place] = _SPACE
        return place + 1
    for at in range(begin - 1, last):
        out[place] = text[at]
        place += 1
    return place


@compiled(nogil=True)
def close_gaps(
    values: Values, starts: Places, classes: Kinds, lower: npt.NDArray[np.uint16], out: Values, borders: Places
) -> None:
    """Standard: white space and marks between words go, and case.

    Args:
        values: Forms of the characters of N texts, [T].
        starts: Where each text begins, and at the end T, [N + 1].
        classes: The class of each character of the BMP, and at its end that of all above it, [65536].
        lower: The case-folded form of each character of the BMP, [65536].
        out: The texts, at most T.
        borders: Where each text begins in `out`, and at the end where the last one ends, [N + 1].
    """
    kinds = _kinds(values, classes)
    place = 0
    for row in range(len(starts) - 1):
        text, kind = values[starts[row] : starts[row + 1]], kinds[starts[row] : starts[row + 1]]
        low, gap = _lowered(text, kind, lower), _uneven(text, kind)
        at = 0
        while at < len(text):
            if not gap[at]:
                out[place] = low[at]
                place += 1
                at += 1
                continue
            last, seen = at, 0
            while last < len(text) and kind[last] >= _BLANK:
                seen |= 1 << kind[last]
                last += 1
            left, right = _sides(kind, at, last)
            spaces = _spaces(seen, left, kind[last - 1], right)
            if spaces < 0:
                place = _gap(text, kind, at, last, out, place)
            elif spaces:
                out[place] = _SPACE
                place += 1
            at = last
        borders[row + 1] = place


@compiled(nogil=True)
def _spaces(seen: int, left: int, final: int, right: int) -> int:
    """How many spaces are left of a gap; -1 if something else may be left.

    Args:
        seen: A bit for each class that the gap has.
        left: Class of what stands before it.
        final: Class of its last character.
        right: Class of what stands behind it.
    """
    both = left > _WIDE and right > _WIDE
    words = left <= _DIGIT and right <= _DIGIT and both
    if max(left, right) == _WIDE:
        return 0
    if seen & ~_DIVIDING or (final == _DOT and right <= _DIGIT):
        return -1
    if not both:
        return 0
    if seen & _LOOSE == 0:
        return -1
    return 1 if words or seen != 1 << _BLANK else 0


@compiled(nogil=True)
def _lowered(text: Values, kind: Kinds, lower: npt.NDArray[np.uint16]) -> Values:
    """A text in lower case, but for the first two letters behind a number: 5 mW is not 5 MW."""
    low = np.empty(len(text), np.uint32)
    for at in range(len(text)):
        value = text[at]
        if value < 0x80:
            low[at] = value + (np.uint32(32) if 0x41 <= value <= 0x5A else np.uint32(0))
        else:
            low[at] = lower[value] if kind[at] == _LETTER and value <= 0xFFFF else value
    for at in range(len(text)):
        if kind[at] == _DIGIT:
            first = at + 2 if at + 1 < len(text) and kind[at + 1] == _BLANK else at + 1
            for unit in range(first, min(first + 2, len(text))):
                if kind[unit] != _LETTER:
                    break
                low[unit] = text[unit]
    return low


@compiled(nogil=True)
def _gap(text: Values, kind: Kinds, first: int, last: int, out: Values, place: int) -> int:
    """Write what is left of a gap that does not stand between two Han words: brackets, and what is between these."""
    at = first
    while at < last:
        if kind[at] >= _BRACKET:
            out[place] = _HYPHEN if text[at] == _LONG_DASH else text[at]
            place += 1
            at += 1
        else:
            stop = _run(kind, at, last, _BLANK, _INNER)
            place = _divided(text, kind, at, stop, out, place)
            at = stop
    return place


@compiled(nogil=True)
def _divided(text: Values, kind: Kinds, first: int, last: int, out: Values, place: int) -> int:
    """Write what is left of white space and marks, brackets apart, which do not stand between two Han words."""
    left, right = _sides(kind, first, last)
    both = left > _WIDE and right > _WIDE
    if both and _tight(kind, first, last):
        for at in range(first, last):
            out[place] = text[at]
            place += 1
        return place
    numbers = left == _DIGIT and right == _DIGIT
    stayed = lost = False
    for at in range(first, last):
        if _stays(text, kind, at, both, numbers, last - first == 1):
            out[place] = text[at]
            place += 1
            stayed = True
        elif kind[at] != _BLANK:
            if both and not lost:
                out[place] = _SPACE
                place += 1
            lost = True
    if both and left <= _DIGIT and right <= _DIGIT and not stayed and not lost:
        out[place] = _SPACE
        place += 1
    return place


@compiled(nogil=True)
def _tight(kind: Kinds, first: int, last: int) -> bool:
    """Whether marks have neither white space nor a mark that only divides among them, and are not all commas."""
    spaced, commas = False, True
    for at in range(first, last):
        spaced = spaced or kind[at] == _BLANK or kind[at] == _PAUSE
        commas = commas and kind[at] == _COMMAS
    return not (spaced or commas)


@compiled(nogil=True)
def _stays(text: Values, kind: Kinds, at: int, both: bool, numbers: bool, alone: bool) -> bool:
    """Whether a mark stays: between two numbers, inside a name, or beside what it belongs to."""
    value = text[at]
    stays = kind[at] >= _DOT and _belongs(text, kind, at)
    stays = stays or (numbers and (value == _COLON or (value == _COMMA and alone)))
    return stays or (both and value == _MIDDLE_DOT)


@compiled(nogil=True)
def _belongs(text: Values, kind: Kinds, at: int) -> bool:
    """Whether a mark belongs to one neighbour, whatever the other is: .5, .NET, 5!, n!, !n, != and 5'."""
    before, after = _sides(kind, at, at + 1)
    if kind[at] == _DOT:
        return _LETTER <= after <= _DIGIT
    if kind[at] == _BANG:
        second = kind[at - 2] if at > 1 else _WIDE
        closed = at > 0 and text[at - 1] == _CLOSING
        opens = at == 0 or before in (_BLANK, _BRACKET, _SIGN)
        negates = opens and after in (_LETTER, _BRACKET)
        return before == _DIGIT or closed or (before == _LETTER and second != _LETTER) or after == _SIGN or negates
    return before == _DIGIT and (text[at] == _QUOTE or text[at] == _APOSTROPHE)


@compiled(nogil=True)
def unadorn(values: Values, starts: Places, classes: Kinds, out: Values, borders: Places) -> None:
    """Loose: decorations go, and white space between letters.

    Args:
        values: Characters of N texts, folded by `close_gaps`, [T].
        starts: Where each text begins, and at the end T, [N + 1].
        classes: The class of each character of the BMP, decorations being white space, [65536].
        out: The texts, at most T.
        borders: Where each text begins in `out`, and at the end where the last one ends, [N + 1].
    """
    kinds = _kinds(values, classes)
    for at in range(len(values)):
        if 0x1F300 <= values[at] < 0x1FB00:
            kinds[at] = _BLANK
    place = 0
    for row in range(len(starts) - 1):
        text, kind = values[starts[row] : starts[row + 1]], kinds[starts[row] : starts[row + 1]]
        at = 0
        while at < len(text):
            if kind[at] != _BLANK:
                out[place] = text[at]
                place += 1
                at += 1
                continue
            last = _run(kind, at, len(text), _BLANK, _BLANK)
            left, right = _sides(kind, at, last)
            if left > _WIDE and right > _WIDE and not (left == right == _LETTER):
                out[place] = _SPACE
                place += 1
            at = last
        borders[row + 1] = place
