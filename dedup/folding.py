"""The folded form of a text, which must be equal for two texts to count as the same, at four levels.

| level | ignored | never ignored |
|---|---|---|
| `none` | nothing | |
| `strict` | width, invisible characters, white space beside Han, how much white space there is elsewhere | all else |
| `standard` | also case, shape (ﬁ, ㎏), white space and punctuation between words, kind of quotes | see below |
| `loose` | also white space between letters, emoji and decorations such as ★ | see below |

No level ignores an operator, a sign, a currency, a percent sign, a decimal point, `#`, `+`, brackets of a formula, or a
mark inside a word or number; nor do two numbers ever become one. Case stays in units behind a number. Code is not
recognised: from `standard` on its case and its indentation are ignored. Shingles have all marks, each in the form of
its kind: there 《 is < and ① is 1.

Almost every character has a form of its own, so that is one look-up over flat code points; texts with combining marks
take a slower route. The hash is xxh3_128 (seed 0) over the UTF-32-LE bytes of the folded text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from cleaning.codepoints import CodePoints, codepoints
from dedup.characters import Level, form, lower_case
from dedup.gaps import formed, squeezed, without_gaps

__all__ = [
    "Level",
    "Normalise",
    "fold",
    "fold_hashes",
    "folded_codepoints",
    "level_for",
    "prepare",
    "raw_hashes",
    "token_hashes",
]

Normalise: TypeAlias = Literal["auto", "none", "strict", "standard", "loose"]
"""A level, or `auto`: `standard` for documents, `strict` for records of chat."""

# A stretch that can be composed by itself: neither ASCII nor Han change, or combine with what stands before them.
_UNEASY = re.compile("(?s).?[^ -~\u4e00-\u9fff]+")
_STRICTER: Mapping[Level, Level] = {"loose": "standard", "standard": "strict", "strict": "none"}


def level_for(normalise: Normalise, table: pa.Table) -> Level:
    """The level of folding for the records of a table.

    Args:
        normalise: A level, or `auto`.
        table: Records of any kind.
    """
    if normalise != "auto":
        return normalise
    return "standard" if "text" in table.column_names else "strict"


def prepare(normalise: Normalise) -> None:
    """Build the tables of a level, or those of documents for `auto`, and load compiled loops: half a second of work.

    Args:
        normalise: A level, or `auto`.
    """
    fold("一", "standard" if normalise == "auto" else normalise)


def fold(text: str, level: Level = "standard", *, marks: bool = False) -> str:
    """The folded form of one text.

    Args:
        text: The text.
        level: How much is ignored.
        marks: Whether marks stay, as in shingles.
    """
    view = folded_codepoints(pa.array([text], pa.large_string()), level, marks=marks)
    return view.values.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def folded_codepoints(texts: pa.Array, level: Level = "standard", *, marks: bool = False) -> CodePoints:
    """The folded texts as flat code points. A text that folds to nothing (punctuation only) is folded more strictly.

    Args:
        texts: String array, N texts.
        level: How much is ignored.
        marks: Whether marks stay, as in shingles; then those of the same meaning become one, and so does a run of
            white space. At `loose` they are left out all the same.
    """
    view = codepoints(texts)
    if len(view.values) == 0 or level == "none":
        return view
    marks = marks and level != "loose"
    whole = _formed(texts, view, level, marks)
    folded = _lowered(squeezed(whole), level) if marks else without_gaps(whole, level)
    empty = np.flatnonzero((folded.lengths == 0) & (view.lengths > 0))
    if len(empty) == 0:
        return folded
    spare = folded_codepoints(texts.take(pa.array(empty)), "none" if marks else _STRICTER[level])
    return _replaced(folded, empty, [spare.values[a:b] for a, b in itertools.pairwise(spare.starts.tolist())])


def _lowered(view: CodePoints, level: Level) -> CodePoints:
    """The texts in lower case, unless the level minds case."""
    if level == "strict":
        return view
    values = view.values.copy()
    low = values < 0xFFFF
    values[low] = lower_case()[values[low]]
    return CodePoints(values, view.starts)


def _formed(texts: pa.Array, view: CodePoints, level: Level, marks: bool) -> CodePoints:
    """The texts with the form of each character in its place."""
    out, special = formed(view, level, marks)
    if len(special) == 0:
        return out
    return _replaced(out, special, [_slowly(texts[r].as_py() or "", level, marks) for r in special.tolist()])


def _slowly(text: str, level: Level, marks: bool) -> npt.NDArray[np.uint32]:
    """The forms of a text's characters, with those that combine composed before and after."""

    def composed(found: re.Match[str]) -> str:
        whole = unicodedata.normalize("NFC", found[0])
        return unicodedata.normalize("NFC", "".join([form(c, level, marks=marks) for c in whole]))

    return np.frombuffer(_UNEASY.sub(composed, text).encode("utf-32-le", "surrogatepass"), np.uint32)


def _replaced(view: CodePoints, rows: npt.NDArray[np.int64], pieces: list[npt.NDArray[np.uint32]]) -> CodePoints:
    """`view` with other values in place of those of some rows."""
    lengths, parts, done = view.lengths, [], 0
    for row, piece in zip(rows.tolist(), pieces, strict=True):
        parts += [view.values[done : view.starts[row]], piece]
        done, lengths[row] = view.starts[row + 1], len(piece)
    return CodePoints(np.concatenate([*parts, view.values[done:]]), np.concatenate([[0], np.cumsum(lengths)]))


def fold_hashes(texts: pa.Array, level: Level = "standard") -> npt.NDArray[np.uint64]:
    """128-bit hashes of the folded texts.

    Args:
        texts: String array, N texts.
        level: How much is ignored.

    Returns:
        Upper and lower halves, [N, 2].
    """
    if level == "none":
        return raw_hashes(texts)
    return token_hashes(folded_codepoints(texts, level))


def token_hashes(view: CodePoints) -> npt.NDArray[np.uint64]:
    """128-bit hashes of the tokens of texts.

    Args:
        view: Tokens of N texts.

    Returns:
        Upper and lower halves, [N, 2].
    """
    width = view.values.itemsize
    data = np.ascontiguousarray(view.values, f"<u{width}").view(np.uint8).data
    digest = xxhash.xxh3_128_digest
    digests = b"".join(digest(data[a:b]) for a, b in itertools.pairwise((view.starts * width).tolist()))
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
