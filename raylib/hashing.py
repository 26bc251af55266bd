"""Hashes of record ids and of n-grams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

__all__ = ["id_hashes", "ngram_hashes", "window_hashes"]


_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _mixed(left: Any, right: Any) -> Any:
    with np.errstate(over="ignore"):
        mixed = left * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
        mixed += right
        mixed *= _MULTIPLIER
        mixed ^= mixed >> np.uint64(32)
    return mixed


def ngram_hashes(values: Any, n: int) -> Any:
    """64-bit hashes of all n-grams, built by doubling: 10 = 8 + 2 takes four passes instead of ten."""
    total = len(values) - n + 1
    power, size = values.astype(np.uint64), 1
    hashed: Any = None
    covered = 0
    while True:
        if n & size:
            hashed = power if hashed is None else _mixed(hashed[: len(power) - covered], power[covered:])
            covered += size
        if covered == n:
            return hashed[:total]
        power = _mixed(power[:-size], power[size:])
        size *= 2


_PRIME = np.uint64(0x9E3779B97F4A7C15)


def window_hashes(tokens: Any, lengths: Any, width: int) -> tuple[Any, Any]:
    """Hashes of all windows of `width` tokens inside one text, and the text each belongs to.

    Args:
        tokens: Tokens of all texts, one after the other, [T].
        lengths: Number of tokens of each text, [N].
        width: Number of tokens of a window.

    Returns:
        Hashes, uint64 [W], and the position of each window's text, int64 [W].
    """
    values = tokens.astype(np.uint64)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    if len(values) < width:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    hashed = np.zeros(len(values) - width + 1, np.uint64)
    with np.errstate(over="ignore"):
        for k in range(width):
            hashed = (hashed ^ values[k : k + len(hashed)]) * _PRIME
            hashed ^= hashed >> np.uint64(29)
    inside = owner[: len(hashed)] == owner[width - 1 :]
    return hashed[inside], owner[: len(hashed)][inside]


def id_hashes(table: pa.Table, seed: int = 0) -> np.ndarray[Any, Any]:
    """64-bit hashes of the ids of a table's records, uint64: an order that has nothing to do with their place."""
    hashed = xxhash.xxh64_intdigest
    return np.array([hashed((i or "").encode(), seed) for i in table["id"].to_pylist()], np.uint64)
