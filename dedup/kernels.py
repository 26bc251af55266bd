"""Compiled loops of MinHash: signatures, agreement of signatures, true Jaccard. Loaded only where they are used.

The hash functions are fixed forever, saved indexes depend on them. A shingle's hash: for each of its
tokens h = (h ^ token) * 0x9E3779B97F4A7C15, h ^= h >> 29, from 0. Permutation p of its upper 32 bits x
is a[p] * x + b[p] modulo 2^32 (a odd), with a and b drawn by `coefficients`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["agreement", "coefficients", "jaccard_pairs", "minhash"]

_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_UPPER = np.uint64(32)


def coefficients(permutations: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Multipliers (odd) and summands of the permutations, uint32 each, from a splitmix64 sequence."""
    state = np.uint64(seed) + np.arange(1, 2 * permutations + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    numbers = ((state ^ (state >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32)
    return numbers[:permutations] | np.uint32(1), numbers[permutations:].copy()


@njit(nogil=True, cache=True)
def minhash(values, starts, ngram, multipliers, summands, out):  # type: ignore[no-untyped-def]
    """Fill out[row, p] with the minimum of permutation p over the row's shingles; one shingle for a short row."""
    for row in range(len(starts) - 1):
        first, last = starts[row], starts[row + 1]
        signature = out[row]
        for p in range(signature.shape[0]):
            signature[p] = np.uint32(0xFFFFFFFF)
        for begin in range(first, max(first + 1, last - ngram + 1)):
            h = np.uint64(0)
            for at in range(begin, min(begin + ngram, last)):
                h = (h ^ np.uint64(values[at])) * _PRIME
                h ^= h >> _SHIFT
            x = np.uint32(h >> _UPPER)
            for p in range(signature.shape[0]):
                value = np.uint32(multipliers[p] * x + summands[p])
                signature[p] = min(signature[p], value)


@njit(nogil=True, cache=True)
def agreement(signatures, left, right, out):  # type: ignore[no-untyped-def]
    """out[i] = number of positions in which the signatures of rows left[i] and right[i] agree."""
    for i in range(len(left)):
        a, b = signatures[left[i]], signatures[right[i]]
        same = 0
        for p in range(a.shape[0]):
            same += a[p] == b[p]
        out[i] = same


@njit(nogil=True, cache=True)
def _shingle_hashes(values, first, last, ngram):  # type: ignore[no-untyped-def]
    count = max(1, last - first - ngram + 1)
    hashes = np.empty(count, np.uint64)
    for i in range(count):
        h = np.uint64(0)
        for at in range(first + i, min(first + i + ngram, last)):
            h = (h ^ np.uint64(values[at])) * _PRIME
            h ^= h >> _SHIFT
        hashes[i] = h
    return np.unique(hashes)


@njit(nogil=True, cache=True)
def jaccard_pairs(values, starts, left, right, ngram, out):  # type: ignore[no-untyped-def]
    """out[i] = true Jaccard of the shingle sets (64-bit hashes) of rows left[i] and right[i]."""
    for i in range(len(left)):
        a = _shingle_hashes(values, starts[left[i]], starts[left[i] + 1], ngram)
        b = _shingle_hashes(values, starts[right[i]], starts[right[i] + 1], ngram)
        x = y = common = 0
        while x < len(a) and y < len(b):
            if a[x] == b[y]:
                common += 1
                x += 1
                y += 1
            elif a[x] < b[y]:
                x += 1
            else:
                y += 1
        out[i] = common / (len(a) + len(b) - common)
