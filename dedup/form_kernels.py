"""Compiled loops that give each character of a text its form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from raylib.compiled import compiled

__all__ = ["expand", "form_all"]

# as in dedup.characters; written here, because numba keeps machine code until this file changes
_DROP, _EXPAND, _SPECIAL = np.uint32(0), np.uint32(0x80000000), np.uint32(0xFFFFFFFF)

Values = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]


@compiled(nogil=True)
def form_all(
    values: Values, starts: Places, forms: Values, out: Values, borders: Places, special: npt.NDArray[np.bool_]
) -> int:
    """Fill `out` with the forms of all characters, and `borders` with the places where texts begin in it.

    Args:
        values: Characters of N texts, [T].
        starts: Where each text begins, and at the end T, [N + 1].
        forms: What each character of the BMP becomes, as `dedup.characters.forms` gives it, [65536].
        out: Forms, at most T.
        borders: Where each text begins in `out`, and at the end where the last one ends, [N + 1].
        special: Whether each text has a character whose form depends on others, [N].

    Returns:
        The number of characters that become several. In their places `out` has what `forms` has.
    """
    place = expanding = 0
    for row in range(len(starts) - 1):
        for at in range(starts[row], starts[row + 1]):
            value = values[at]
            if value <= 0xFFFF:
                form = forms[value]
            elif 0x1F300 <= value < 0x1FB00 or 0x20000 <= value < 0x2F800:
                form = value  # Han and emoji have no other form
            else:
                form = _SPECIAL
            out[place] = form
            place += form != _DROP
            if form >= _EXPAND:
                special[row] |= form == _SPECIAL
                expanding += form != _SPECIAL
        borders[row + 1] = place
    return expanding


@compiled(nogil=True)
def expand(values: Values, starts: Places, pieces: Values, limits: Places, out: Values, borders: Places) -> None:
    """Put in what characters such as ℃ and ㎡ become.

    Args:
        values: Forms, as `form_all` gives them, [T].
        starts: Where each text begins, and at the end T, [N + 1].
        pieces: What the characters become, one after the other.
        limits: Where each begins in `pieces`, and at the end where the last one ends.
        out: The texts, at most T and as much as is put in.
        borders: Where each text begins in `out`, and at the end where the last one ends, [N + 1].
    """
    place = 0
    for row in range(len(starts) - 1):
        for at in range(starts[row], starts[row + 1]):
            value = values[at]
            if value < _EXPAND or value == _SPECIAL:
                out[place] = value
                place += 1
            else:
                number = np.int64(value - _EXPAND)
                for more in range(limits[number], limits[number + 1]):
                    out[place] = pieces[more]
                    place += 1
        borders[row + 1] = place
