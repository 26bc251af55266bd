"""Rejects by the structure of a text: sentences, lines, lists, tables, alternating scripts."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import CHINESE_PUNCTUATION, CodePoints, Flags, codepoints, flags, han_flags, share, table_of
from cleaning.declare import reject
from cleaning.texts import evidence
from raylib.stage import Threshold
from raylib.stage.bounds import Share

__all__ = [
    "alternating_scripts",
    "bullet_ratio",
    "ellipsis_ratio",
    "line_length",
    "no_sentence_punctuation",
    "table_of_contents",
    "table_page",
]


@reject("no_sentence_punctuation", examples=(("苹果 香蕉 梨 橘子", "none of ，。"), ("离车站近,就是隔音差.", "")))
def no_sentence_punctuation(texts: pa.Array, *, marks: str = "，。？！；,.?!;") -> pa.Array:
    """Reject texts that contain none of the given sentence marks.

    Args:
        texts: String array.
        marks: The marks; for English choose `.,?!`. Many Chinese texts have half-width marks.
    """
    without = ~pc.match_substring_regex(texts, "[" + re.escape(marks) + "]").to_numpy(zero_copy_only=False)
    return evidence(texts, without.astype(bool), lambda i: f"none of {marks}")


_CHINESE_OR_NEUTRAL = table_of(
    CHINESE_PUNCTUATION + "0123456789 \n\t\u3000,.!?:;\"'()（）", ((0x3000, 0x303F), (0xFF00, 0xFFEF))
)


@reject(
    "alternating_scripts",
    unit="switches in 7 characters",
    examples=(("好a好b好c好d好e" * 8, "6"), ("使用 Python 语言编写，运行在 Linux 上。" * 5, "")),
)
def alternating_scripts(texts: pa.Array, *, windows: int = 10, width: int = 7, max_switches: int = 5) -> pa.Array:
    """Reject texts that jump between Chinese and other letters.

    Looks at evenly spread windows; any window with too many switches rejects the text. Digits and punctuation count as
    Chinese.

    Args:
        texts: String array.
        windows: Number of windows; fewer in texts of under `windows * width` characters.
        width: Width of a window, in characters.
        max_switches: Largest number of switches in a window.
    """
    view = codepoints(texts)
    chinese = han_flags(view) | flags(view, _CHINESE_OR_NEUTRAL)
    switch = np.zeros(len(chinese) + 1, np.int32)
    np.cumsum(chinese[1:] != chinese[:-1], out=switch[1 : len(chinese)])
    if len(chinese):
        switch[len(chinese)] = switch[len(chinese) - 1]
    lengths = view.lengths
    counts = np.where(lengths >= windows * width, windows, lengths // windows)
    worst = np.zeros(len(lengths), np.int64)
    for k in range(windows):
        live = (k < counts) & (lengths >= width)
        room = lengths - width
        at = view.starts[:-1] + np.where(counts > 1, room * k // np.maximum(counts - 1, 1), 0)
        last = np.where(live, at + width - 1, 0)
        first = np.where(live, at, 0)
        worst = np.maximum(worst, np.where(live, switch[last] - switch[first], 0))
    return evidence(
        texts, worst > max_switches, lambda i: f"{worst[i]} switches in {width} characters > {max_switches}"
    )


_NUMERAL = "[0-9０-９一二三四五六七八九十百千零〇两]"
_CHAPTER_MARK = re.compile(rf"第{_NUMERAL}{{1,8}}[章节回卷篇部集讲]")
_SENTENCES = re.compile(r"[。；！？;]")
_ORDINAL_MARK = re.compile(rf"[（(]{_NUMERAL}{{1,4}}[）)]")


@reject(
    "table_of_contents",
    unit="marks",
    examples=(
        ("".join(f"第{i}章 起行\n" for i in range(1, 14)), "13 chapter marks"),
        ("第一章讲的是历史，第二章讲的是地理，作者在书中写得很细。", ""),
        ("（一）甲（二）乙", ""),
    ),
)
def table_of_contents(
    texts: pa.Array, *, max_marks: int = 10, max_share: Share = 0.25, min_length: int = 100
) -> pa.Array:
    """Reject texts that are full of chapter marks 第N章 or ordinals （N）.

    Long texts may have one more mark for every 1,000 characters: a whole book may well have 20 chapters. A text with a
    full stop or semicolon for every second line is prose or a statute, and stays.

    Args:
        texts: String array.
        max_marks: Largest number of marks of one kind.
        max_share: Largest share of characters in marks of one kind, 0 to 1.
        min_length: Length below which the share is not looked at, in characters.
    """
    hit = pc.match_substring_regex(texts, rf"第{_NUMERAL}{{1,8}}[章节回卷篇部集讲]|[（(]{_NUMERAL}{{1,4}}[）)]")
    out: list[str | None] = [None] * len(texts)
    for row in np.flatnonzero(hit.to_numpy(zero_copy_only=False)).tolist():
        text = texts[row].as_py()
        allowed = max_marks + len(text) // 1000
        if _SENTENCES.search(text) and len(_SENTENCES.findall(text)) * 2 >= text.count("\n") + 1:
            continue  # a statute has as many ordinals, and each begins a sentence
        for name, pattern in (("chapter", _CHAPTER_MARK), ("ordinal", _ORDINAL_MARK)):
            marks = pattern.findall(text)
            covered = sum(map(len, marks)) / max(len(text), 1)
            if len(marks) > allowed:
                out[row] = f"{len(marks)} {name} marks > {allowed}"
            elif covered > max_share and len(text) >= min_length:
                out[row] = f"{name} marks are {covered:.2f} of the text > {max_share}"
    return pa.array(out, pa.large_string())


_SENTENCE_MARK = table_of("，。！？；")
_TABLE = {False: table_of("\n、"), True: table_of("\n、，")}


@reject(
    "table_page",
    unit="characters a piece",
    examples=(
        ("苹果、香蕉梨、橘" * 10, "mean"),
        ("苹果\n" * 20, "mean"),
        ("晓色分孤屿，寒光动远汀。\n鹭飞双翼白，人立一蓑青。\n" * 4, ""),
        ("我们在山里走了一整天，傍晚才看见远处村庄里的灯光。\n第二天清晨又下起了雨，大家只好留在屋里说话。", ""),
    ),
)
def table_page(texts: pa.Array, *, strict: bool = False, min_pieces: int = 5) -> pa.Array:
    """Reject pages that are tables or word lists: their pieces between newlines and 、 are short and of equal length.

    A text with a sentence mark for every third piece is verse or prose, and stays. Pieces beyond three standard
    deviations are ignored. A mean length under 10 and a standard deviation under 8
    characters reject a text. Pieces of one and the same length have a deviation of 0 and do reject.

    Args:
        texts: String array.
        strict: Whether pieces also end at ，, with limits of 7 for the mean and 3 for the deviation.
        min_pieces: Number of pieces below which a text stays.
    """
    max_mean, max_deviation = (7.0, 3.0) if strict else (10.0, 8.0)
    view = codepoints(texts)
    rows = len(texts)
    owner, whole = _pieces(view, flags(view, _TABLE[strict]))
    lengths = whole.astype(np.float64)
    mean, deviation, count = _moments(owner, lengths, rows)
    inlier = np.abs(lengths - mean[owner]) <= 3 * deviation[owner]
    mean2, deviation2, _ = _moments(owner[inlier], lengths[inlier], rows)
    bad = (count >= min_pieces) & (mean2 < max_mean) & (deviation2 < max_deviation)
    # verse has short lines of one length too, but a sentence mark in each
    marks = view.count(flags(view, _SENTENCE_MARK))
    bad &= marks * 3 < count
    return evidence(
        texts,
        bad,
        lambda i: (
            f"{count[i]:.0f} pieces, mean {mean2[i]:.1f} < {max_mean}, deviation {deviation2[i]:.1f} < {max_deviation}"
        ),
    )


def _pieces(view: CodePoints, separator: Flags) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row and length of every non-empty piece between separators (a flag for each character) and text ends."""
    border = np.zeros(len(separator) + 1, np.bool_)
    border[:-1] = separator
    border[view.starts[1:]] = True
    ends = np.flatnonzero(border)
    if len(ends) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    # a piece begins behind its separator; one that begins at a text's start has none before it
    behind = np.zeros(len(separator) + 1, np.bool_)
    behind[:-1] = separator
    lengths = ends - starts - behind[starts]
    owner = np.minimum(np.searchsorted(view.starts, starts, side="right") - 1, len(view.starts) - 2)
    solid = lengths > 0
    return owner[solid], lengths[solid]


def _moments(
    owner: npt.NDArray[np.int64], values: npt.NDArray[np.float64], rows: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean, sample standard deviation and count of `values` for each owner, [rows] each."""
    count = np.bincount(owner, minlength=rows).astype(np.float64)
    total = np.bincount(owner, weights=values, minlength=rows)
    mean = share(total, count, empty=0.0)
    squares = np.bincount(owner, weights=(values - mean[owner]) ** 2, minlength=rows)
    deviation = np.sqrt(share(squares, np.maximum(count - 1, 0), empty=0.0))
    return mean, deviation, count


def _line_lengths(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Longest and mean length of each text's non-blank lines, in characters."""
    view = codepoints(texts)
    rows = len(texts)
    owner, lengths = _pieces(view, view.values == 10)
    count = np.bincount(owner, minlength=rows)
    total = np.bincount(owner, weights=lengths, minlength=rows)
    longest = np.zeros(rows, np.int64)
    np.maximum.at(longest, owner, lengths)
    return longest, share(total, count, empty=0.0)


@reject(
    "line_length",
    unit="characters",
    examples=(("a\nb\nc", "1.0 < 10"), ("这是一行足够长的正常文字内容。", "")),
    thresholds=(Threshold("min_mean", "below", 0, 1 << 10),),
)
def line_length(
    texts: pa.Array, *, min_mean: float = 10, min_longest: int = 0, max_mean: float | None = None
) -> pa.Array:
    """Reject texts by the lengths of their non-blank lines (from C4 and FineWeb, in characters instead of words).

    Args:
        texts: String array.
        min_mean: Least mean length, in characters.
        min_longest: Least length of the longest line, in characters.
        max_mean: Largest mean length, in characters, which catches minified code and data dumps; null for no limit.
    """
    longest, mean = _line_lengths(texts)
    bad = (mean < min_mean) | (longest < min_longest)
    if max_mean is not None:
        bad |= mean > max_mean

    def explain(i: int) -> str:
        if mean[i] < min_mean:
            return f"mean line {mean[i]:.1f} < {min_mean}"
        if longest[i] < min_longest:
            return f"longest line {longest[i]} < {min_longest}"
        return f"mean line {mean[i]:.1f} > {max_mean}"

    return evidence(texts, bad, explain)


def _line_share(texts: pa.Array, pattern: str) -> npt.NDArray[np.float64]:
    """Share of non-blank lines that match an RE2 pattern, for each text."""
    matching = pc.fill_null(pc.count_substring_regex(texts, pattern), 0).to_numpy(zero_copy_only=False)
    lines = pc.fill_null(pc.count_substring_regex(texts, r"(?m)^[^\n]*[^\s][^\n]*$"), 0)
    return share(matching, lines.to_numpy(zero_copy_only=False), empty=0.0)


def _reject_line_share(texts: pa.Array, pattern: str, ceiling: float, min_lines: int) -> pa.Array:
    """Evidence against texts of `min_lines` or more in which more than `ceiling` of the lines match a pattern."""
    hit = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False).astype(bool)
    out: list[str | None] = [None] * len(texts)
    rows = np.flatnonzero(hit)
    if len(rows):
        picked = texts.take(pa.array(rows))
        value = _line_share(picked, pattern)
        lines = pc.count_substring_regex(picked, r"(?m)^[^\n]*[^\s][^\n]*$").to_numpy(zero_copy_only=False)
        for row, part, count in zip(rows.tolist(), value, lines, strict=True):
            if part > ceiling and count >= min_lines:
                out[row] = f"{part:.2f} of {count} lines > {ceiling}"
    return pa.array(out, pa.large_string())


@reject(
    "too_many_bullets",
    unit="share of lines",
    examples=(("- 一\n- 二\n- 三\n- 四\n- 五\n- 六", "1.00"), ("- 一\n正文\n正文", "")),
    thresholds=(Threshold("max", "above"),),
)
def bullet_ratio(texts: pa.Array, *, max: Share = 0.9, min_lines: int = 5) -> pa.Array:
    """Reject texts in which most lines begin with a bullet (Gopher; Chinese bullets included).

    Args:
        texts: String array.
        max: Largest share of such lines, 0 to 1.
        min_lines: Number of non-blank lines below which a text stays.
    """
    return _reject_line_share(texts, r"(?m)^[ \t\x{3000}]*[-*+•·●○◆◇■□▪▶►➤※★☆][^\n]*$", max, min_lines)


@reject(
    "too_many_ellipses",
    unit="share of lines",
    examples=(("他说…\n她说……\n我说...\n好…\n嗯…", "1.00"), ("他想了想……\n走了。\n没有回头。", "")),
    thresholds=(Threshold("max", "above"),),
)
def ellipsis_ratio(texts: pa.Array, *, max: Share = 0.5, min_lines: int = 3) -> pa.Array:
    """Reject texts in which many lines end with an ellipsis: teasers and cut excerpts (Gopher: 0.3).

    Args:
        texts: String array.
        max: Largest share of such lines, 0 to 1.
        min_lines: Number of non-blank lines below which a text stays.
    """
    return _reject_line_share(texts, r"(?m)^[^\n]*(?:…|\.\.\.)[ \t”」]*$", max, min_lines)
