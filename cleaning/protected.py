r"""What rewriting rules leave alone: code, formulas, tables, addresses, the marks of Markdown, statutes, verse, titles.

One recogniser finds these stretches of a text, and every rule asks it. A rule sees a text in which each protected
stretch is a single character of a private plane (a mark), so that it can look at what stands around it, keep it or
drop it with its line, but never change its inside. Rejecting rules count their shares without code and tables.

Most texts hold nothing of the kind: one RE2 pattern tells them apart before any Python looks at them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import CodePoints, Stretch, codepoints
from cleaning.spans import CANDIDATE, CANDIDATE_UNREADABLE, Kind, Span, fences_of, spans_of

__all__ = ["LAYOUT", "LITERAL", "Kind", "is_mark", "outside", "prose", "prose_texts", "spans"]

LITERAL = Kind.CODE | Kind.FORMULA | Kind.ADDRESS
"""What means something else once a character of it changes."""

LAYOUT = LITERAL | Kind.TABLE | Kind.MARK | Kind.STATUTE | Kind.VERSE | Kind.TITLE
"""And what means something else once its spaces, lines or marks change."""

_UNREADABLE = LITERAL | Kind.TABLE | Kind.FENCE

_FIRST, _LAST = 0x100000, 0x10FFFD  # plane 16, for private use
_MARK = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")


def is_mark(character: str) -> bool:
    """Whether a character stands for a protected stretch."""
    return _FIRST <= ord(character) <= _LAST


# Stretches of the texts of the last array. A rule changes few of them, and the next one sees the others again.
_seen: dict[str, tuple[Span, ...]] = {}
_seen_size = [0]  # characters
_MOST_SEEN = 32_000_000


@functools.lru_cache(maxsize=4)
def _found(stretch: Stretch, candidate: str) -> dict[int, tuple[Span, ...]]:
    texts = stretch.texts
    hit = pc.fill_null(pc.match_substring_regex(texts, candidate), False)
    rows = np.flatnonzero(hit.to_numpy(zero_copy_only=False))
    now: dict[str, tuple[Span, ...]] = {}
    out: dict[int, tuple[Span, ...]] = {}
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True):
        found = _seen.get(text)
        if found is None:
            found = spans_of(text)
        now[text] = found
        if found:
            out[row] = found
    _remember(now)
    return out


def _remember(now: dict[str, tuple[Span, ...]]) -> None:
    size = sum(map(len, now))
    # a rule may look at a few texts on the side, which must not push out the others; what is kept is a batch or two
    if size * 2 > _seen_size[0] or size + _seen_size[0] > _MOST_SEEN:
        _seen.clear()
        _seen_size[0] = 0
    _seen.update(now)
    _seen_size[0] += size


def spans(texts: pa.Array, kinds: int = LAYOUT | Kind.FENCE) -> dict[int, tuple[Span, ...]]:
    """Protected stretches of texts. The answers for the last four arrays are remembered.

    Args:
        texts: String array, N texts.
        kinds: Kinds that are asked for. Texts without these may be left out; others come with stretches of all kinds.

    Returns:
        Stretches by position of the text, in order and without overlaps of one kind; texts without any are left out.
    """
    if kinds == Kind.FENCE:  # the cheap ones, which few texts have
        rows = np.flatnonzero(pc.fill_null(pc.match_substring_regex(texts, "`|~~~"), False).to_numpy(False))
        return {row: fences_of(texts[row].as_py()) for row in rows.tolist()}
    return _found(Stretch.of(texts), CANDIDATE if kinds & ~_UNREADABLE else CANDIDATE_UNREADABLE)


def _merged(found: tuple[Span, ...], kinds: int) -> list[tuple[int, int]]:
    """Borders of the stretches of some kinds: those that overlap or touch are one."""
    out: list[tuple[int, int]] = []
    for start, end, kind in found:
        if not kind & kinds:
            continue
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


@dataclass(frozen=True)
class _Masked:
    text: str
    held: list[str]

    @staticmethod
    def of(text: str, borders: list[tuple[int, int]]) -> _Masked:
        pieces: list[str] = []
        held: list[str] = []
        at = 0
        for start, end in borders[: _LAST - _FIRST]:
            pieces += (text[at:start], chr(_FIRST + len(held)))
            held.append(text[start:end])
            at = end
        pieces.append(text[at:])
        return _Masked("".join(pieces), held)

    def restored(self, text: str) -> str:
        return _MARK.sub(lambda m: self.held[ord(m[0]) - _FIRST], text)


def outside(
    texts: pa.Array, function: Callable[[pa.Array], pa.Array], kinds: int = LAYOUT, candidates: pa.Array | None = None
) -> pa.Array:
    """Apply a function of texts to what is not protected.

    Args:
        texts: String array, N texts.
        function: Gives new texts, row by row; it sees a mark in the place of each protected stretch, and a mark that
            it leaves out takes its stretch with it.
        kinds: Kinds of stretches that are protected.
        candidates: Texts that the function may change, boolean, [N]; by default all.

    Returns:
        N texts; the very array that came in if none changed. A text stays that the function would not change even
        without protection: only the others are searched for stretches.
    """
    first = function(texts)
    if first is texts:
        return texts
    changed = pc.fill_null(pc.not_equal(first, texts), False)
    if candidates is not None:
        changed = pc.and_(changed, candidates)
    rows = np.flatnonzero(changed.to_numpy(zero_copy_only=False))
    if not len(rows):
        return texts
    old = texts.take(pa.array(rows))
    where: list[int] = []
    masked: list[_Masked] = []
    for row, stretches in spans(old, kinds).items():
        borders = _merged(stretches, kinds)
        text = old[row].as_py() if borders else ""
        if borders and _MARK.search(text) is None:
            where.append(row)
            masked.append(_Masked.of(text, borders))
    new = first.take(pa.array(rows)).to_pylist()
    inside = function(pa.array([m.text for m in masked], pa.large_string())).to_pylist() if masked else []
    for row, mask, text in zip(where, masked, inside, strict=True):
        new[row] = mask.restored(text)
    if new == old.to_pylist():
        return texts
    return pc.replace_with_mask(texts, changed, pa.array(new, pa.large_string()))


def prose(texts: pa.Array, kinds: int = LITERAL | Kind.TABLE) -> CodePoints:
    """Code points of texts without their protected stretches: what shares of characters are computed on.

    Args:
        texts: String array, N texts; a null counts as an empty text.
        kinds: Kinds of stretches that are left out; a text that holds nothing else stays whole.
    """
    return codepoints(prose_texts(texts, kinds))


def prose_texts(texts: pa.Array, kinds: int = LITERAL | Kind.TABLE, *, never_empty: bool = True) -> pa.Array:
    """Texts without their protected stretches. The answers for the last two arrays are remembered.

    Args:
        texts: String array, N texts.
        kinds: Kinds of stretches that are left out.
        never_empty: Whether a text that holds nothing else stays whole.
    """
    return _prose(Stretch.of(texts), kinds, never_empty)


@functools.lru_cache(maxsize=2)
def _prose(stretch: Stretch, kinds: int, never_empty: bool) -> pa.Array:
    texts = stretch.texts
    new: dict[int, str] = {}
    for row, found in spans(texts, kinds).items():
        borders = _merged(found, kinds)
        if borders:
            text = texts[row].as_py()
            begins = [0, *(end for _, end in borders)]
            ends = [*(start for start, _ in borders), len(text)]
            kept = "".join(text[a:b] for a, b in zip(begins, ends, strict=True))
            if kept.strip() or not never_empty:
                new[row] = kept
    if not new:
        return texts
    mask = np.zeros(len(texts), np.bool_)
    mask[list(new)] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array([new[row] for row in sorted(new)], texts.type))
