"""The folded form of a text: what must be equal for two texts to count as the same.

NFKC, case folded, white space, control characters and punctuation (Unicode categories Z, C, P) out.
Almost every character maps to at most one other, so the fold is one table look-up over the flat
code points; texts with characters that expand, or with combining marks, take the exact route.
The hash is xxh3_128 (seed 0) over the UTF-32-LE bytes of the folded text. Both are fixed forever:
saved indexes depend on them.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from cleaning.codepoints import codepoints

__all__ = ["fold", "fold_hashes", "raw_hashes"]

_DROP = 0
_SPECIAL = 0xFFFFFFFF


def fold(text: str) -> str:
    """The folded text, by definition: the slow, exact form of what the table does."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in folded if unicodedata.category(c)[0] not in "ZCP" or "\ud800" <= c <= "\udfff")


@functools.lru_cache(maxsize=1)
def _table() -> np.ndarray[Any, Any]:
    table = np.zeros(0x10000, np.uint32)
    for code in range(0xFFFF):
        if 0xD800 <= code <= 0xDFFF:
            continue
        character = chr(code)
        folded = fold(character)
        if unicodedata.combining(character) or unicodedata.category(character)[0] == "M" or 0x1100 <= code <= 0x11FF:
            table[code] = _SPECIAL
        elif len(folded) == 0:
            table[code] = _DROP
        elif len(folded) == 1:
            table[code] = ord(folded)
        else:
            table[code] = _SPECIAL
    table[0xFFFF] = _SPECIAL
    return table


def fold_hashes(texts: pa.Array) -> np.ndarray[Any, Any]:
    """128-bit hashes of the folded texts, shape (n, 2) uint64 (high, low).

    A text that folds to nothing (punctuation only) is hashed as it is.
    """
    view = codepoints(texts)
    table = _table()
    folded = table[view.narrow]
    kept = folded != _DROP
    special = view.count(folded == _SPECIAL) > 0
    ends = np.concatenate([[0], np.cumsum(view.count(kept))])
    data = memoryview(np.ascontiguousarray(folded[kept]).tobytes())
    digests = bytearray()
    digest = xxhash.xxh3_128_digest
    borders = (ends * 4).tolist()
    special_rows = set(np.flatnonzero(special | (np.diff(ends) == 0)).tolist())
    for row in range(len(texts)):
        if row in special_rows:
            text = texts[row].as_py() or ""
            digests += digest((fold(text) or text).encode("utf-32-le"))
        else:
            digests += digest(data[borders[row] : borders[row + 1]])
    return np.frombuffer(bytes(digests), ">u8").reshape(-1, 2).astype(np.uint64)


def raw_hashes(texts: pa.Array) -> np.ndarray[Any, Any]:
    """128-bit hashes of the UTF-8 bytes as they are, shape (n, 2) uint64."""
    digests = b"".join(xxhash.xxh3_128_digest((t or "").encode()) for t in texts.to_pylist())
    return np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
