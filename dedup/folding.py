"""The folded form of a text, which must be equal for two texts to count as the same.

NFKC, case folded, without white space, control characters and punctuation (Unicode categories Z, C, P). Almost every
character maps to at most one other, so the fold is one table look-up over the flat code points; texts with characters
that expand, or with combining marks, take the exact route. The hash is xxh3_128 (seed 0) over the UTF-32-LE bytes of
the folded text. Both are fixed forever, because saved indexes depend on them.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from cleaning.codepoints import CodePoints, Flags, codepoints

__all__ = ["fold", "fold_hashes", "folded_codepoints", "raw_hashes"]


_DROP = 0
_SPECIAL = 0xFFFFFFFF
_EXPAND = 0xFFFFFFFE
_SPACE = 0x20
# Marks of Chinese and European text with the same meaning.
_UNIFIED = {
    ord(mark): plain
    for plain, marks in {
        ".": "。…",
        ",": "、",
        '"': "“”„‟″『』「」",
        "'": "‘’‚‛′",
        "<": "《〈«",
        ">": "》〉»",
        "[": "【〔",
        "]": "】〕",
        "-": "—–‐‑−",
        "~": "～〜",
    }.items()
    for mark in marks
}


def fold(text: str, *, punctuation: bool = False) -> str:
    """The folded text, by definition: the slow, exact form of what the tables do.

    Args:
        text: The text.
        punctuation: Whether marks are unified instead of dropped; then a run of white space becomes one space.
    """
    if punctuation:
        text = text.translate(_UNIFIED)  # before NFKC, which would make three dots of an ellipsis
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if not punctuation:
        return "".join(c for c in folded if unicodedata.category(c)[0] not in "ZCP" or "\ud800" <= c <= "\udfff")
    spaced = "".join(" " if unicodedata.category(c)[0] in "ZC" else c for c in folded.translate(_UNIFIED))
    return re.sub(" +", " ", spaced)


@functools.lru_cache(maxsize=2)
def _table(punctuation: bool) -> npt.NDArray[np.uint32]:
    """What each code point of the BMP becomes: a code point, or one of the marks for special cases, [65536]."""
    table = np.zeros(0x10000, np.uint32)
    for code in range(0xFFFF):
        if 0xD800 <= code <= 0xDFFF:
            continue
        character = chr(code)
        folded = fold(character, punctuation=punctuation)
        if unicodedata.combining(character) or unicodedata.category(character)[0] == "M" or 0x1100 <= code <= 0x11FF:
            table[code] = _SPECIAL
        elif len(folded) == 0:
            table[code] = _DROP
        elif len(folded) == 1:
            table[code] = ord(folded)
        elif all(fold(c, punctuation=punctuation) == c != " " and not unicodedata.combining(c) for c in folded):
            table[code] = _EXPAND
        else:
            table[code] = _SPECIAL
    table[0xFFFF] = _SPECIAL
    return table


def _expanded(
    view: CodePoints,
    kept: Flags,
    folded: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.int64],
    punctuation: bool,
) -> npt.NDArray[np.uint32]:
    """Insert what characters such as ℃ and ㎡ become, two characters or more; changes `folded` and `counts`."""
    places = np.flatnonzero(folded == _EXPAND)
    codes = view.narrow[places]
    at, extra, owners = [], [], []
    after = np.cumsum(kept)
    for code in np.unique(codes).tolist():
        mine = places[codes == code]
        first, *more = (ord(c) for c in fold(chr(code), punctuation=punctuation))
        folded[mine] = first
        for position, value in enumerate(more):
            at.append(after[mine])
            extra.append((np.full(len(mine), value, np.uint32), np.full(len(mine), position), mine))
        owners.append(np.repeat(np.searchsorted(view.starts, mine, side="right") - 1, len(more)))
    counts += np.bincount(np.concatenate(owners), minlength=len(counts))
    values = np.concatenate([e[0] for e in extra])
    order = np.lexsort((np.concatenate([e[1] for e in extra]), np.concatenate([e[2] for e in extra])))
    return np.insert(folded[kept], np.concatenate(at)[order], values[order])


def folded_codepoints(texts: pa.Array, *, punctuation: bool = False) -> CodePoints:
    """The folded texts as flat code points. A text that folds to nothing (punctuation only) stays as it is.

    Args:
        texts: String array, N texts.
        punctuation: Whether marks are unified instead of dropped; then a run of white space becomes one space.
    """
    view = codepoints(texts)
    if len(texts) == 0:
        return view
    folded = _table(punctuation)[view.narrow]
    kept = folded != _DROP
    if punctuation:
        space = folded == _SPACE
        again = space[1:] & space[:-1]
        inner = view.starts[1:-1]
        again[inner[(inner > 0) & (inner <= len(again))] - 1] = False  # a text's first character has none before it
        kept[1:] &= ~again
    counts = view.count(kept)
    exact = (view.count(folded == _SPECIAL) > 0) | ((counts == 0) & (view.lengths > 0))
    if (folded == _EXPAND).any():
        values = _expanded(view, kept, folded, counts, punctuation)
    else:
        values = folded[kept]
    rows = np.flatnonzero(exact)
    if len(rows):
        values = _exactly_folded(texts, rows, values, counts, punctuation)
    return CodePoints(values, np.concatenate([[0], np.cumsum(counts)]))


def _exactly_folded(
    texts: pa.Array,
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.int64],
    punctuation: bool,
) -> npt.NDArray[np.uint32]:
    """`values` with some rows folded by definition in place of what the table gave; changes `counts`."""
    borders = np.concatenate([[0], np.cumsum(counts)])
    pieces, done = [], 0
    for row in rows.tolist():
        text = texts[row].as_py() or ""
        exactly = fold(text, punctuation=punctuation) or text
        right = np.frombuffer(exactly.encode("utf-32-le", "surrogatepass"), np.uint32)
        pieces += [values[done : borders[row]], right]
        done, counts[row] = borders[row + 1], len(right)
    return np.concatenate([*pieces, values[done:]])


def fold_hashes(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """128-bit hashes of the folded texts. A text that folds to nothing (punctuation only) is hashed as it is.

    Args:
        texts: String array, N texts.

    Returns:
        Upper and lower halves, [N, 2].
    """
    view = folded_codepoints(texts)
    data = memoryview(np.ascontiguousarray(view.values, "<u4").tobytes())
    borders = (view.starts * 4).tolist()
    digest = xxhash.xxh3_128_digest
    digests = b"".join(digest(data[a:b]) for a, b in itertools.pairwise(borders))
    return np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)


def raw_hashes(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """128-bit hashes of the UTF-8 bytes as they are.

    Args:
        texts: String array, N texts.

    Returns:
        Upper and lower halves, [N, 2].
    """
    digests = b"".join(xxhash.xxh3_128_digest((t or "").encode()) for t in texts.to_pylist())
    return np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
