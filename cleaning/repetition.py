"""Gopher-style repetition, counted in characters so that it fits Chinese."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import (
    ASCII_PUNCTUATION,
    CHINESE_PUNCTUATION,
    CodePoints,
    Flags,
    codepoints,
    flags,
    space_flags,
    table_of,
)
from cleaning.declare import reject
from cleaning.protected import prose_texts
from cleaning.texts import evidence
from raylib.hashing import inside_one_text, ngram_hashes
from raylib.stage import Threshold
from raylib.stage.bounds import Share

__all__ = ["character_repetition", "repeats_of_ngrams", "repetition"]


_NUMBER = re.compile(r"[0-9]+")
_GOLDEN_32 = np.uint32(0x9E3779B1)  # 2^32 divided by the golden ratio: spreads texts over the slots of a table
_IGNORED = table_of(CHINESE_PUNCTUATION + ASCII_PUNCTUATION)


def repeats_of_ngrams(
    view: CodePoints, n: int, rows: Flags | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Repeated n-grams of each text.

    One sort of (text, hash) keys for the whole batch. 40 bits of hash for each n-gram make a false match within one
    text of 100,000 characters as rare as 1 in 200.

    Args:
        view: Code points of N texts.
        n: Number of characters of an n-gram.
        rows: Texts to look at, [N]; by default all. The others count as empty.

    Returns:
        For each text the number of n-grams that occurred before in it, the count of its commonest n-gram, and its
        number of n-grams, [N] each.
    """
    values, starts = view.values, view.starts
    lengths = np.diff(starts)
    if rows is not None:
        keep = np.repeat(rows, lengths)
        values = values[keep]
        lengths = np.where(rows, lengths, 0)
        starts = np.concatenate([[0], np.cumsum(lengths)])
    total = len(values) - n + 1
    zero = np.zeros(len(lengths), np.int64)
    if total <= 0:
        return zero, zero, zero
    hashed = ngram_hashes(values, n)
    owner = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
    keys = ((owner[:total] << np.uint64(40)) | (hashed >> np.uint64(24)))[inside_one_text(owner, n)]
    keys.sort()
    grams = np.maximum(lengths - n + 1, 0)
    if len(keys) == 0:
        return zero, zero, grams
    fresh = np.empty(len(keys), np.bool_)
    fresh[0] = True
    np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
    first = np.flatnonzero(fresh)
    counts = np.diff(np.append(first, len(keys)))
    owners = (keys[first] >> np.uint64(40)).astype(np.int64)
    seen_before = np.bincount(owners, weights=counts - 1, minlength=len(lengths)).astype(np.int64)
    commonest = zero.copy()
    np.maximum.at(commonest, owners, counts)
    return seen_before, commonest, grams


def _may_repeat(view: CodePoints, n: int, ceiling: float, rows: Flags) -> Flags:
    """Rows whose share of n-grams seen before may be over `ceiling`: no sort, only a hash table of positions.

    Two n-grams in one slot look like a repeat, so the share comes out too high, never too low: what is not over the
    ceiling here need not be counted exactly. This saves nine tenths of the sorting.
    """
    total = len(view.values) - n + 1
    if total <= 0:
        return np.zeros_like(rows)
    hashed = ngram_hashes(view.values, n)
    owner = np.repeat(np.arange(len(view.lengths), dtype=np.uint32), view.lengths)[:total]
    bits = min(22, max(10, total.bit_length()))  # the table should stay in the CPU's cache
    slots = (hashed >> np.uint64(64 - bits)).astype(np.intp) ^ ((owner * _GOLDEN_32) >> np.uint32(32 - bits)).astype(
        np.intp
    )
    position = np.arange(total, dtype=np.int32)
    last = np.empty(1 << bits, np.int32)
    last[slots] = position
    grams = np.maximum(view.lengths - n + 1, 0)
    fresh = np.zeros(len(view.values), np.bool_)
    fresh[:total] = last[slots] == position
    for back in range(1, n):  # n-grams that reach into the next text do not count
        fresh[np.maximum(view.starts[1:] - back, view.starts[:-1])[view.lengths > 0]] = False
    return rows & (grams - view.count(fresh) > ceiling * grams)


def _duplicate_shares(text: str, separator: str) -> tuple[float, float]:
    """Share of pieces, and of characters, that repeat an earlier piece, whatever numbers stand in them."""
    pieces = [p for piece in _NUMBER.sub("0", text).split(separator) if (p := piece.strip())]
    if len(pieces) < 2:
        return 0.0, 0.0
    seen: set[str] = set()
    repeated = characters = 0
    for piece in pieces:
        if piece in seen:
            repeated += 1
            characters += len(piece)
        seen.add(piece)
    return repeated / len(pieces), characters / max(sum(map(len, pieces)), 1)


_WINDOW = 6000  # letters within which n-grams repeat: in a book or a long article every n-gram occurs again somewhere
_HELD = 0.75  # of the ceiling for characters: many short lines alone, such as prompts and labels, are no repetition

_TOP = {2: 0.16, 3: 0.15, 4: 0.14}
_DUPLICATE = {5: 0.30, 6: 0.28, 7: 0.26, 8: 0.24, 9: 0.22, 10: 0.20}


@reject(
    "repetition",
    unit="share of characters",
    examples=(
        ("买一送一快来抢购。\n" * 12, "lines"),
        ("春天来了，山里的桃花都开了，人们走出家门，沿着河边的小路慢慢地走。", ""),
    ),
    thresholds=(Threshold("scale", "above", 0, 8),),
)
def repetition(
    texts: pa.Array,
    *,
    max_duplicate_lines: Share = 0.5,
    max_duplicate_line_characters: Share = 0.45,
    max_duplicate_paragraphs: Share = 0.5,
    max_duplicate_paragraph_characters: Share = 0.45,
    scale: float = 1.0,
    min_length: int = 128,
) -> pa.Array:
    """Reject repetitive texts (Gopher, Rae et al. 2021, table A1), with n-grams of characters instead of words.

    Characters in the commonest 2-, 3- and 4-gram may make up 0.16, 0.15 and 0.14 of a text; of its 5- to 10-grams,
    0.30, 0.28, 0.26, 0.24, 0.22 and 0.20 may have occurred before, in the same 6,000 characters. White space and
    punctuation do not count. Chinese has fewer and denser units than English, so the thresholds for long n-grams are
    double Gopher's, which count words. Gopher's for lines and paragraphs are 0.3 and 0.2, which rejects songs and
    manuals.

    Args:
        texts: String array.
        max_duplicate_lines: Largest share of lines that repeat an earlier line, 0 to 1. Lists of titles
            whose lines differ in their numbers only repeat. It counts if these lines also
            hold three quarters of the next ceiling: prompts, bullets and labels repeat in good texts.
        max_duplicate_line_characters: Largest share of characters in such lines, 0 to 1.
        max_duplicate_paragraphs: Largest share of paragraphs that repeat an earlier paragraph, 0 to 1.
        max_duplicate_paragraph_characters: Largest share of characters in such paragraphs, 0 to 1.
        scale: Factor of the nine thresholds for n-grams.
        min_length: Length below which a text's n-grams are not looked at, in characters.
    """
    texts = prose_texts(texts)
    out: list[str | None] = [None] * len(texts)
    multiline = pc.match_substring(texts, "\n").to_numpy(zero_copy_only=False).astype(bool)
    for row in np.flatnonzero(multiline).tolist():
        text = texts[row].as_py()
        for name, separator, max_count, max_characters in (
            ("lines", "\n", max_duplicate_lines, max_duplicate_line_characters),
            ("paragraphs", "\n\n", max_duplicate_paragraphs, max_duplicate_paragraph_characters),
        ):
            if out[row] is not None or separator not in text:
                continue
            count, characters = _duplicate_shares(text, separator)
            if count > max_count and characters > _HELD * max_characters:
                out[row] = f"duplicate {name} {count:.2f} > {max_count}"
            elif characters > max_characters:
                out[row] = f"characters in duplicate {name} {characters:.2f} > {max_characters}"
    view = _letters(codepoints(texts))
    live = (view.lengths >= min_length) & np.array([o is None for o in out], np.bool_)
    _reject_ngrams(view, live, out, scale)
    return pa.array(out, pa.large_string())


def _letters(view: CodePoints) -> CodePoints:
    """The texts without white space and punctuation."""
    solid = ~(flags(view, _IGNORED) | space_flags(view))
    starts = np.concatenate([[0], np.cumsum(view.count(solid))])
    return CodePoints(view.values[solid], starts)


def _windows(view: CodePoints) -> tuple[CodePoints, npt.NDArray[np.intp]]:
    """The texts in equal windows of at most `_WINDOW` characters, and the text of each window."""
    parts = np.maximum(-(-view.lengths // _WINDOW), 1)
    owner = np.repeat(np.arange(len(parts)), parts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    begins = view.starts[:-1][owner] + number * view.lengths[owner] // parts[owner]
    return CodePoints(view.values, np.append(begins, view.starts[-1])), owner


def _reject_ngrams(view: CodePoints, live: Flags, out: list[str | None], scale: float) -> None:
    # A repeated 10-gram begins with a repeated 5-gram and the commonest 4-gram is no commoner than
    # the commonest 2-gram, so the shortest n decides who needs the rest.
    windows, owner = _windows(view)
    length = np.maximum(view.lengths, 1)

    def by_text(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        sums: npt.NDArray[np.float64] = np.zeros(len(live))
        np.add.at(sums, owner, counts)
        return sums

    candidates = live
    for n, ceiling in _TOP.items():
        commonest = by_text(repeats_of_ngrams(windows, n, candidates[owner])[1])
        part = commonest * n / length
        _note(
            out, candidates & (part > ceiling * scale) & (commonest > 2), part, f"commonest {n}-gram", ceiling * scale
        )
        if n == 2:
            candidates = candidates & (commonest * 4 / length > min(_TOP.values()) * scale)
        if not candidates.any():
            break
    # a text is over a ceiling only if one of its windows is
    hot = _may_repeat(windows, min(_DUPLICATE), min(_DUPLICATE.values()) * scale, live[owner])
    live = live & (by_text(hot.astype(np.int64)) > 0)
    for n, ceiling in _DUPLICATE.items() if live.any() else ():
        before, _, grams = repeats_of_ngrams(windows, n, live[owner])
        part = by_text(before) / np.maximum(by_text(grams), 1)
        _note(out, live & (part > ceiling * scale), part, f"repeated {n}-grams", ceiling * scale)
        live = live & (part > min(_DUPLICATE.values()) * scale)
        if not live.any():
            break


def _note(out: list[str | None], bad: Flags, value: npt.NDArray[np.float64], what: str, ceiling: float) -> None:
    """Write evidence against texts that have none yet."""
    for row in np.flatnonzero(bad).tolist():
        if out[row] is None:
            out[row] = f"{what} {value[row]:.2f} > {ceiling:.2f}"


@reject(
    "character_repetition",
    unit="share of n-grams",
    examples=(("测试一下看看结果" * 20, "0.9"), ("每一句话都说着不一样的事情，谁也没有重复谁。", "")),
    thresholds=(Threshold("max", "above"),),
)
def character_repetition(texts: pa.Array, *, n: int = 10, max: Share = 0.5) -> pa.Array:
    """Reject texts in which too many character n-grams occurred before in the text.

    Args:
        texts: String array.
        n: Number of characters of an n-gram.
        max: Largest share of n-grams that occurred before, 0 to 1.
    """
    view = codepoints(texts)
    rows = _may_repeat(view, n, max, view.lengths >= n)
    if not rows.any():
        return pa.nulls(len(texts), pa.large_string())
    before, _, grams = repeats_of_ngrams(view, n, rows)
    part = before / np.maximum(grams, 1)
    return evidence(texts, part > max, lambda i: f"{part[i]:.2f} > {max}")
