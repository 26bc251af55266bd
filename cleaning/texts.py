"""What rules are made of: a pattern, or a function of one text, over Arrow string arrays."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["evidence", "re2", "replaced", "rewrite_each"]


def re2(pattern: str) -> str:
    r"""A pattern of Python's in RE2's spelling of code points.

    Args:
        pattern: Pattern without look-around or references; `\uXXXX` stands for a code point.
    """
    return re.sub(r"\\u([0-9a-fA-F]{4})", r"\\x{\1}", pattern)


def rewrite_each(texts: pa.Array, function: Callable[[str], str], where: pa.Array | None = None) -> pa.Array:
    """Apply a Python function to texts.

    Args:
        texts: String array, N texts; nulls stay null.
        function: Gives the new text.
        where: Texts to apply it to, boolean, [N]; by default all. A vectorised `where` keeps rules fast: most texts
            need nothing, and Python only sees the others.

    Returns:
        N texts; the very array that came in if none changed.
    """
    if where is not None and not pc.any(where).as_py():
        return texts
    picked = texts if where is None else texts.filter(where)
    old = picked.to_pylist()
    new = [None if text is None else function(text) for text in old]
    if new == old:
        return texts
    array = pa.array(new, pa.large_string())
    all_of_them = where is None or len(array) == len(texts)
    return array if all_of_them else pc.replace_with_mask(texts, where, array)


def replaced(texts: pa.Array, pattern: str, replacement: str) -> pa.Array:
    """Replace all matches of an RE2 pattern.

    Args:
        texts: String array, N texts.
        pattern: RE2 pattern.
        replacement: Replacement, which may refer to groups.

    Returns:
        N texts; the very array that came in if nothing matched.
    """
    hit = pc.match_substring_regex(texts, pattern)
    if not pc.any(hit).as_py():
        return texts
    new = pc.replace_substring_regex(texts.filter(hit), pattern, replacement)
    return pc.replace_with_mask(texts, hit, new) if len(new) != len(texts) else new


def evidence(texts: pa.Array, rejected: npt.NDArray[np.bool_], explain: Callable[[int], str]) -> pa.Array:
    """Evidence against texts.

    Args:
        texts: String array, N texts.
        rejected: Texts that are rejected, [N].
        explain: Function of a rejected text's position that gives the evidence.

    Returns:
        String array, N entries; null where a text is kept.
    """
    out: list[str | None] = [None] * len(texts)
    for row in rejected.nonzero()[0].tolist():
        out[row] = explain(row)
    return pa.array(out, pa.large_string())
