r"""Back-to-back repeats, found in time that grows almost linearly with the text.

A backtracking pattern such as `(\D{3,}?)\1+` is quadratic: a 1 MB line keeps it busy for hours.
Here periods below 32 are found by comparing the flat code points of the whole batch with
themselves at each distance; longer periods by anchors: in a repeat of period p >= L some block of
L/2 characters that starts at a multiple of L/2 comes again between L and 2L further on, so
looking each block up in that window with `str.find` finds all of them. Shorter periods are
removed first, which keeps the number of hits in a window small.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleaning.codepoints import Flags, codepoints, table_of
from cleaning.declare import rewrite
from cleaning.texts import rewrite_each
from raylib.errors import ParameterError

__all__ = ["remove_repeats"]

_SHORT = 32
_MARKED = 0x110000  # above all of Unicode
_DIGIT_FREE = re.compile(rf"\D{{{2 * _SHORT},}}")
_DIGIT = table_of("0123456789０１２３４５６７８９")


def _rows_with_short_repeat(texts: pa.Array, minimum: int) -> Flags:
    """Rows in which some digit-free string of `minimum`..31 characters is repeated back to back."""
    view = codepoints(texts)
    rows = np.zeros(len(texts), np.bool_)
    values = view.values
    if len(values) <= minimum:
        return rows
    # digits and text borders never compare equal, so no run crosses them
    marked = _mark_digits(values)
    narrow = marked.astype(np.uint16)  # half the memory traffic; hits are verified below
    digit = np.flatnonzero(marked >= _MARKED)
    narrow[digit] = 0xD800 + digit % 0x800  # so that digits still equal nothing within the longest short period
    for period in range(minimum, _SHORT):
        if len(narrow) < 2 * period:
            break
        equal = (narrow[period:] == narrow[:-period]).tobytes()
        needle = b"\x01" * period
        at = equal.find(needle)
        while at >= 0:
            row = int(np.searchsorted(view.starts, at, side="right")) - 1
            end = int(view.starts[row + 1])
            inside = at + 2 * period <= end
            if rows[row]:
                at = equal.find(needle, max(at + 1, end - period))
            elif inside and np.array_equal(marked[at : at + period], marked[at + period : at + 2 * period]):
                rows[row] = True
                at = equal.find(needle, max(at + 1, end - period))
            elif inside:
                at = equal.find(needle, at + 1)
            else:  # the run reaches into the next text: continue there
                at = equal.find(needle, max(at + 1, end))
    return rows


def _collapse_long(segment: str, period_floor: int) -> str:
    """Collapse repeats whose period lies in [period_floor, 2 * period_floor) within a digit-free segment."""
    block = period_floor // 2
    at = 0
    pieces: list[str] = []
    done = 0
    while at + period_floor + block <= len(segment):
        probe = segment[at : at + block]
        found = segment.find(probe, at + period_floor, at + 2 * period_floor + block - 1)
        while found >= 0:
            period = found - at
            left = _match_left(segment, at, found, done)
            right = _match_right(segment, at + block, found + block)
            if left + block + right >= period:
                start = at - left
                length = left + block + right  # segment[start:start+length] == the same, one period on
                copies = length // period  # whole copies after the first
                pieces.append(segment[done : start + period])
                done = start + period + copies * period
                at = done - block
                break
            found = segment.find(probe, found + 1, at + 2 * period_floor + block - 1)
        at += block
    if not pieces:
        return segment
    pieces.append(segment[done:])
    return "".join(pieces)


def _match_right(text: str, a: int, b: int) -> int:
    """Length of the common run of text[a:] and text[b:], b > a, by doubling slices (C speed)."""
    total, step = 0, 16
    while step:
        if b + step <= len(text) and text[a : a + step] == text[b : b + step]:
            a, b, total = a + step, b + step, total + step
            step *= 2
        else:
            step //= 2
    return total


def _match_left(text: str, a: int, b: int, floor: int) -> int:
    """Length of the common run that ends before a and before b, not reaching below `floor`."""
    total, step = 0, 16
    while step:
        if a - step >= floor and text[a - step : a] == text[b - step : b]:
            a, b, total = a - step, b - step, total + step
            step *= 2
        else:
            step //= 2
    return total


def _collapse_segment(segment: str) -> str:
    floor = _SHORT
    while 2 * floor <= len(segment):
        segment = _collapse_long(segment, floor)
        floor *= 2
    return segment


def _collapse_short(text: str, minimum: int) -> str:
    """Collapse repeats of periods `minimum`..31, shortest first: runs of equality at each distance."""
    values = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    marked = _mark_digits(values)
    for period in range(minimum, _SHORT):
        if len(marked) < 2 * period:
            break
        equal = np.zeros(len(marked) - period + 2, np.int8)
        np.equal(marked[period:], marked[:-period], out=equal[1:-1].view(np.bool_))
        edges = np.diff(equal)
        starts = np.flatnonzero(edges == 1)
        lengths = np.flatnonzero(edges == -1) - starts
        long = lengths >= period
        if not long.any():
            continue
        keep = np.ones(len(marked), np.bool_)
        for start, length in zip(starts[long].tolist(), lengths[long].tolist(), strict=True):
            keep[start + period : start + period + length // period * period] = False
        marked, values = marked[keep], values[keep]
    return values.tobytes().decode("utf-32-le")


def _mark_digits(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The text with a code point of its own for each digit, so that digits never equal anything."""
    marked: npt.NDArray[np.uint32] = values.copy()
    digit = _DIGIT[np.minimum(values, 0xFFFF)]
    marked[digit] = _MARKED + np.flatnonzero(digit).astype(np.uint32)
    return marked


def _collapse(text: str, *, short: bool, minimum: int) -> str:
    if short:
        text = _collapse_short(text, minimum)
    return _DIGIT_FREE.sub(lambda m: _collapse_segment(m[0]), text)


@rewrite(
    examples=(
        ("今天天气今天天气今天天气好", "今天天气好"),
        ("哈哈哈哈哈哈哈", "哈哈哈哈"),
        ("2020202020，123123", "2020202020，123123"),
    )
)
def remove_repeats(texts: pa.Array, *, min_length: int = 3) -> pa.Array:
    """Reduce a digit-free string that is repeated back to back to one copy.

    The shortest unit counts, however long the repeat is; units may be whole pages. The time is almost linear in the
    length of the text.

    Args:
        texts: String array.
        min_length: Least length of the repeated string, in characters, 1 to 31.

    Raises:
        ParameterError: if `min_length` is out of range.
    """
    if not 1 <= min_length < _SHORT:
        raise ParameterError(f"min_length must lie between 1 and {_SHORT - 1}, is {min_length}")
    rows = _rows_with_short_repeat(texts, min_length)
    array = texts
    if rows.any():
        array = rewrite_each(texts, lambda s: _collapse(s, short=True, minimum=min_length), where=pa.array(rows))
    long_enough = codepoints(texts).lengths >= 2 * _SHORT
    rest = long_enough & ~rows
    return rewrite_each(array, lambda s: _collapse(s, short=False, minimum=min_length), where=pa.array(rest))
