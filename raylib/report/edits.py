"""Single edits: the places where a rule changed a text, each with what stood there, what stands there now, and context.

Changes that are only a character or two apart count as one edit, because a person reads them as one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Change", "changes", "differing_parts"]


_NEAR = 2  # unchanged characters between two changes that are one edit
_AROUND = 200  # characters that are kept before the first and after the last difference of long texts


class Change(NamedTuple):
    """A place where two texts differ.

    Attributes:
        start: Where it begins in the old text.
        end: Where it ends in the old text.
        new_start: Where it begins in the new text.
        new_end: Where it ends in the new text.
    """

    start: int
    end: int
    new_start: int
    new_end: int


def changes(before: str, after: str) -> list[Change]:
    """Find the places where two texts differ.

    The time grows with the product of their lengths: `differing_parts` cuts long texts first.

    Args:
        before: The old text.
        after: The new text.

    Returns:
        The changes in the order of the text.
    """
    from rapidfuzz.distance import Indel  # noqa: PLC0415 - every worker loads this module, few compare texts

    found: list[Change] = []
    for op in Indel.opcodes(before, after):
        if op.tag == "equal":
            continue
        last = found[-1] if found else None
        if last is not None and op.src_start - last.end <= _NEAR:
            found[-1] = Change(last.start, op.src_end, last.new_start, op.dest_end)
        else:
            found.append(Change(op.src_start, op.src_end, op.dest_start, op.dest_end))
    return found


def differing_parts(before: str, after: str, most: int) -> tuple[str, str]:
    """Cut long texts down to the part in which they differ.

    Args:
        before: The old text.
        after: The new text.
        most: Number of characters of each part.

    Returns:
        Both texts if neither is longer than `most`. Else the part of each from shortly before their first difference
        to shortly after the last one, and of it at most `most` characters.
    """
    if max(len(before), len(after)) <= most:
        return before, after
    old, new = _points(before), _points(after)
    same = _equal_values(old, new)
    at_end = _equal_values(old[same:][::-1], new[same:][::-1])
    start = max(0, same - _AROUND)
    left_out = max(0, at_end - _AROUND)
    parts = before[start : len(before) - left_out], after[start : len(after) - left_out]
    return parts[0][:most], parts[1][:most]


def _equal_values(old: npt.NDArray[np.uint32], new: npt.NDArray[np.uint32]) -> int:
    """Number of values at the beginning that are the same in both arrays."""
    both = min(len(old), len(new))
    differs = np.flatnonzero(old[:both] != new[:both])
    return int(differs[0]) if len(differs) else both


def _points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
