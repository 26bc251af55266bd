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
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import Flags, codepoints, table_of
from cleaning.declare import rewrite
from cleaning.protected import LAYOUT, Kind, outside
from cleaning.texts import rewrite_each
from raylib.errors import ParameterError
from raylib.stage.bounds import Share

__all__ = ["drop_repeated_lines", "remove_repeats"]

_SHORT = 32
_MARKED = 0x110000  # above all of Unicode
_SENTENCE, _LONG_SENTENCE = 20, 40  # characters of whole sentences that are no refrain: three times, twice
_RUN_COPIES, _RUN_LENGTH = 6, 80
_SENTENCE_END = re.compile(r"[。！？!?\n]")
_DIGIT_FREE = re.compile(rf"\D{{{2 * _SHORT},}}")
_DIGIT = table_of("0123456789０１２３４５６７８９")


@dataclass(frozen=True)
class _Worth:
    """Which repeats count: any two copies, or only whole sentences and long runs."""

    any: bool

    def copies(self, period: int) -> int:
        """Least number of copies of a string of `period` characters that may count."""
        if self.any or period >= _LONG_SENTENCE:
            return 2
        run = max(_RUN_COPIES, -(-_RUN_LENGTH // period))
        return min(3, run) if period >= _SENTENCE else run

    def counts(self, unit: str, copies: int) -> bool:
        """Whether a string repeated so often is to be reduced to one copy."""
        period = len(unit)
        if self.any:
            return True
        if copies >= _RUN_COPIES and copies * period >= _RUN_LENGTH:
            return not unit.isspace()
        whole = _SENTENCE_END.search(unit) is not None
        return whole and (period >= _LONG_SENTENCE or (period >= _SENTENCE and copies >= 3))


def _rows_with_short_repeat(texts: pa.Array, minimum: int, worth: _Worth) -> Flags:
    """Rows in which some digit-free string of `minimum`..31 characters may be repeated back to back."""
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
        length = (worth.copies(period) - 1) * period
        needle = b"\x01" * length
        at = equal.find(needle)
        while at >= 0:
            row = int(np.searchsorted(view.starts, at, side="right")) - 1
            end = int(view.starts[row + 1])
            inside = at + length + period <= end
            if rows[row]:
                at = equal.find(needle, max(at + 1, end - period))
            elif inside and np.array_equal(marked[at : at + length], marked[at + period : at + period + length]):
                rows[row] = True
                at = equal.find(needle, max(at + 1, end - period))
            elif inside:
                at = equal.find(needle, at + 1)
            else:  # the run reaches into the next text: continue there
                at = equal.find(needle, max(at + 1, end))
    return rows


def _collapse_long(segment: str, period_floor: int, worth: _Worth) -> str:
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
            start = at - left
            length = left + block + right  # segment[start:start+length] == the same, one period on
            copies = length // period  # whole copies after the first
            if copies and worth.counts(segment[start : start + period], copies + 1):
                pieces.append(segment[done : start + period])
                done = start + period + copies * period
                at = done - block
                break
            if copies:  # a run that does not count, such as white space: nothing in it does
                at = max(at, start + length)
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


def _collapse_segment(segment: str, worth: _Worth) -> str:
    floor = _SHORT
    while 2 * floor <= len(segment):
        segment = _collapse_long(segment, floor, worth)
        floor *= 2
    return segment


def _collapse_short(text: str, minimum: int, worth: _Worth) -> str:
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
        long = lengths >= (worth.copies(period) - 1) * period
        if not long.any():
            continue
        keep = np.ones(len(marked), np.bool_)
        for start, length in zip(starts[long].tolist(), lengths[long].tolist(), strict=True):
            unit = values[start : start + period].tobytes().decode("utf-32-le")
            if not worth.counts(unit, length // period + 1):
                continue
            keep[start + period : start + period + length // period * period] = False
        marked, values = marked[keep], values[keep]
    return values.tobytes().decode("utf-32-le")


def _mark_digits(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The text with a code point of its own for each digit, so that digits never equal anything."""
    marked: npt.NDArray[np.uint32] = values.copy()
    digit = _DIGIT[np.minimum(values, 0xFFFF)]
    marked[digit] = _MARKED + np.flatnonzero(digit).astype(np.uint32)
    return marked


def _collapse(text: str, worth: _Worth, minimum: int | None = None) -> str:
    if minimum is not None:
        text = _collapse_short(text, minimum, worth)
    return _DIGIT_FREE.sub(lambda m: _collapse_segment(m[0], worth), text)


@rewrite(
    examples=(
        (
            "下面是正文，编辑点了两次粘贴，所以同一段话出现了很多次。" * 3,
            "下面是正文，编辑点了两次粘贴，所以同一段话出现了很多次。",
        ),
        ("首批有山东省、广东省、广州市。小鸡叽叽叽叽地叫。", "首批有山东省、广东省、广州市。小鸡叽叽叽叽地叫。"),
        ("哈" * 100, "哈" * 4),
    )
)
def remove_repeats(
    texts: pa.Array, *, units: Literal["sentences", "any"] = "sentences", min_length: int = 3
) -> pa.Array:
    """Reduce a digit-free string that is repeated back to back to one copy.

    By default a repeat has to be a mistake: whole sentences (40 characters or more twice, 20 or more three times) or a
    long run (six copies or more of 80 characters together). With `any` every two copies count, which takes 广东省 out
    of 山东省、广东省、广州市. The shortest unit counts, however long the repeat is; units may be whole pages. The time
    is almost linear in the length of the text. Code, tables, formulas and verse stay.

    Args:
        texts: String array.
        units: What may be repeated: whole sentences and long runs (`sentences`), or anything (`any`).
        min_length: Least length of the repeated string, in characters, 1 to 31.

    Raises:
        ParameterError: if `min_length` is out of range.
    """
    if not 1 <= min_length < _SHORT:
        raise ParameterError(f"min_length must lie between 1 and {_SHORT - 1}, is {min_length}")
    worth = _Worth(any=units == "any")
    if worth.any:
        return _without_repeats(texts, worth, min_length)
    return outside(texts, lambda free: _without_repeats(free, worth, min_length), LAYOUT & ~Kind.TITLE)


def _without_repeats(texts: pa.Array, worth: _Worth, min_length: int) -> pa.Array:
    rows = _rows_with_short_repeat(texts, min_length, worth)
    array = texts
    if rows.any():
        array = rewrite_each(texts, lambda s: _collapse(s, worth, min_length), where=pa.array(rows))
    long_enough = codepoints(texts).lengths >= 2 * _SHORT
    rest = long_enough & ~rows
    return rewrite_each(array, lambda s: _collapse(s, worth), where=pa.array(rest))


_LONG_RUN = 64  # lines

_PASTED = (
    "他在这里住了三十年，从来没有离开过，村里的人都认得他，也都知道他的脾气。\n"
    "后来修了水库，他被请去看闸门，每天沿着渠走一遍，把水量记在本子上。那些本子现在都在县里的档案馆。\n"
    "他的女儿在城里教书，每年清明回来一次，帮他把屋后的菜地翻一遍，再把那几箱本子搬出来晒太阳。"
)


@rewrite(
    cuts=True,
    unit="characters",
    examples=(
        (_PASTED + "\n孩子们都走了。\n" + _PASTED, _PASTED + "\n孩子们都走了。"),
        ("（一）符合条件的；\n（二）其他。\n第三条\n（一）符合条件的；\n（二）其他。",) * 2,
    ),
)
def drop_repeated_lines(texts: pa.Array, *, min_length: int = 100, min_share: Share = 0.1) -> pa.Array:
    """Drop passages of whole lines that came before in the same text: pages that were pasted twice.

    A passage is a run of lines that follow each other as they did before. It has to be long, also for its text:
    statutes repeat sentences and whole lists, songs refrains, tutorials their output. Code, formulas and tables stay.

    Args:
        texts: String array.
        min_length: Least length of a passage that is dropped, in characters.
        min_share: Least share of the text's characters that a passage has, 0 to 1.
    """
    return outside(
        texts,
        lambda free: rewrite_each(
            free,
            lambda s: _without_repeated_lines(s, max(min_length, min_share * len(s))),
            where=pc.match_substring(free, "\n"),
        ),
        Kind.CODE | Kind.FORMULA | Kind.TABLE,
    )


def _without_repeated_lines(text: str, min_length: float) -> str:
    lines = text.split("\n")
    solid = [i for i, line in enumerate(lines) if line.strip()]
    keys = [lines[i].strip() for i in solid]
    if len(set(keys)) == len(keys):
        return text
    first: dict[str, int] = {}
    gone: set[int] = set()
    at = 0
    while at < len(solid):
        before = first.setdefault(keys[at], at)
        run = 0
        while before < at and at + run < len(solid) and before + run < at and keys[before + run] == keys[at + run]:
            run += 1
        if sum(len(keys[at + k]) for k in range(run)) >= min_length:
            last = solid[at + run - 1]
            gone.update(range(solid[at - 1] + 1, last + 1))
            at += run
        else:  # what begins inside a long run mostly ends with it
            at += run if run > _LONG_RUN else 1
    return "\n".join(line for i, line in enumerate(lines) if i not in gone) if gone else text
