"""Compiled loops of MinHash: signatures, their agreement, true Jaccard, leaders. Loaded only where they are used.

The hash functions are fixed forever, because saved indexes depend on them. The hash of a shingle is the recurrence of
`raylib.hashing.absorb` over its tokens, from 0, in compiled form; a test holds both forms against each other.
Permutation p of its upper 32 bits x is a[p] * x + b[p] modulo 2^32 (a odd), with a and b drawn by `coefficients`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from raylib.compiled import compiled
from raylib.hashing import GOLDEN, mix64

__all__ = ["agree", "agreement", "coefficients", "jaccard_pairs", "leaders", "minhash", "shingle_hashes"]

_SHIFT = np.uint64(29)
_UPPER = np.uint64(32)


def coefficients(permutations: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Multipliers (odd) and summands of the permutations, from a splitmix64 sequence.

    Args:
        permutations: Number of permutations, P.
        seed: Seed of the sequence.

    Returns:
        Multipliers [P] and summands [P].
    """
    mixed = mix64(np.uint64(seed) + np.arange(1, 2 * permutations + 1, dtype=np.uint64) * GOLDEN)
    numbers = (mixed >> _UPPER).astype(np.uint32)
    return numbers[:permutations] | np.uint32(1), numbers[permutations:].copy()


@compiled(nogil=True)
def minhash(
    values: npt.NDArray[np.unsignedinteger],
    starts: npt.NDArray[np.int64],
    ngram: int,
    multipliers: npt.NDArray[np.uint32],
    summands: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint32],
) -> None:
    """Fill `out[row, p]` with the minimum of permutation p over the row's shingles; a short row is one shingle.

    Args:
        values: Tokens of N texts, [T].
        starts: Position of each text's first token, [N + 1].
        ngram: Number of tokens of a shingle.
        multipliers: Multipliers of the permutations, [P].
        summands: Summands of the permutations, [P].
        out: Signatures, [N, P].
    """
    for row in range(len(starts) - 1):
        first, last = starts[row], starts[row + 1]
        signature = out[row]
        for p in range(signature.shape[0]):
            signature[p] = np.uint32(0xFFFFFFFF)
        for begin in range(first, max(first + 1, last - ngram + 1)):
            h = np.uint64(0)
            for at in range(begin, min(begin + ngram, last)):
                h = (h ^ np.uint64(values[at])) * GOLDEN
                h ^= h >> _SHIFT
            x = np.uint32(h >> _UPPER)
            for p in range(signature.shape[0]):
                value = np.uint32(multipliers[p] * x + summands[p])
                signature[p] = min(signature[p], value)


@compiled(nogil=True)
def agree(signatures: npt.NDArray[np.uint8], left: int, right: int) -> int:
    """The number of positions in which two signatures agree.

    Args:
        signatures: Low bytes of signatures, [N, P].
        left: Row of one.
        right: Row of the other.
    """
    a, b = signatures[left], signatures[right]
    same = 0
    for p in range(a.shape[0]):
        same += a[p] == b[p]
    return same


@compiled(nogil=True)
def agreement(
    signatures: npt.NDArray[np.uint8],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> None:
    """Fill `out[i]` with the number of positions in which the signatures of rows left[i] and right[i] agree.

    Args:
        signatures: Low bytes of signatures, [N, P].
        left: Rows, [K].
        right: Rows, [K].
        out: Numbers, [K].
    """
    for i in range(len(left)):
        out[i] = agree(signatures, left[i], right[i])


@compiled(nogil=True)
def shingle_hashes(
    values: npt.NDArray[np.unsignedinteger], first: int, last: int, ngram: int
) -> npt.NDArray[np.uint64]:
    """Hashes of the shingles of one text, in its order; a text of fewer tokens is one shingle.

    Args:
        values: Tokens of all texts, [T].
        first: Position of the text's first token.
        last: Position behind its last token.
        ngram: Number of tokens of a shingle.
    """
    count = max(1, last - first - ngram + 1)
    hashes = np.empty(count, np.uint64)
    for i in range(count):
        h = np.uint64(0)
        for at in range(first + i, min(first + i + ngram, last)):
            h = (h ^ np.uint64(values[at])) * GOLDEN
            h ^= h >> _SHIFT
        hashes[i] = h
    return hashes


@compiled(nogil=True)
def jaccard_pairs(
    values: npt.NDArray[np.unsignedinteger],
    starts: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    ngram: int,
    out: npt.NDArray[np.float64],
) -> None:
    """Fill `out[i]` with the true Jaccard of the shingle sets (64-bit hashes) of rows left[i] and right[i].

    Args:
        values: Tokens of N texts, [T].
        starts: Position of each text's first token, [N + 1].
        left: Rows, [K].
        right: Rows, [K].
        ngram: Number of tokens of a shingle.
        out: Jaccard similarities, [K].
    """
    for i in range(len(left)):
        a = np.unique(shingle_hashes(values, starts[left[i]], starts[left[i] + 1], ngram))
        b = np.unique(shingle_hashes(values, starts[right[i]], starts[right[i] + 1], ngram))
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


@compiled(nogil=True)
def _slots(
    signature: npt.NDArray[np.uint8], bands: int, rows: int, mask: np.uint64, out: npt.NDArray[np.int64]
) -> None:
    """Fill `out[b]` with the slot of band b in a hash table of `mask + 1` slots."""
    for band in range(bands):
        h = np.uint64(band + 1) * GOLDEN
        for row in range(rows):
            h = (h ^ np.uint64(signature[band * rows + row])) * GOLDEN
            h ^= h >> _SHIFT
        out[band] = np.int64(h & mask)


@compiled(nogil=True)
def _first_similar(signatures: npt.NDArray[np.uint8], row: int, candidates: npt.NDArray[np.int64], least: int) -> int:
    """The first candidate that agrees with a row, or -1."""
    for other in candidates:
        if agree(signatures, other, row) >= least:
            return int(other)
    return -1


@compiled(nogil=True)
def _first_in_slots(
    signatures: npt.NDArray[np.uint8],
    row: int,
    slots: npt.NDArray[np.int64],
    heads: npt.NDArray[np.int64],
    chains: npt.NDArray[np.int64],
    least: int,
) -> int:
    """The smallest row in the chains of some slots that agrees with a row, or -1."""
    found = -1
    for slot in slots:
        entry = heads[slot]
        while entry >= 0:
            other = chains[entry, 1]
            if (found < 0 or other < found) and agree(signatures, other, row) >= least:
                found = other
            entry = chains[entry, 0]
    return found


@compiled(nogil=True)
def _lead(
    signatures: npt.NDArray[np.uint8],
    begin: int,
    end: int,
    least: int,
    bands: int,
    rows: int,
    compared: int,
    out: npt.NDArray[np.int64],
) -> None:
    """One group of `leaders`."""
    leader = np.empty(end - begin, np.int64)
    indexed = max(end - begin - compared, 0)
    slots = 1
    while slots < 4 * indexed:
        slots *= 2
    heads = np.full(slots, -1, np.int64)  # the last entry of each slot
    chains = np.empty((indexed * bands, 2), np.int64)  # the entry before, and a leader
    slot = np.empty(bands, np.int64)
    count = used = 0
    for row in range(begin, end):
        found = _first_similar(signatures, row, leader[: min(count, compared)], least)
        if found < 0 and count >= compared:
            _slots(signatures[row], bands, rows, np.uint64(slots - 1), slot)
            found = _first_in_slots(signatures, row, slot, heads, chains, least)
        out[row] = found if found >= 0 else row
        if found >= 0:
            continue
        if count >= compared:
            for s in slot:
                chains[used, 0], chains[used, 1] = heads[s], row
                heads[s] = used
                used += 1
        leader[count] = row
        count += 1


@compiled(nogil=True)
def leaders(
    signatures: npt.NDArray[np.uint8],
    borders: npt.NDArray[np.int64],
    least: int,
    bands: int,
    rows: int,
    compared: int,
    out: npt.NDArray[np.int64],
) -> None:
    """Fill `out[i]` with the first row of i's group that leads and that agrees with i; a row without one leads itself.

    Args:
        signatures: Low bytes of signatures, [N, P].
        borders: Where each group begins, and at the end N, [G + 1].
        least: Number of positions in which similar signatures agree.
        bands: Number of bands of a signature.
        rows: Number of values of a band.
        compared: Number of leaders of a group that every later row is compared with; the others are only compared with
            rows that share a band with them.
        out: Rows, [N].
    """
    for group in range(len(borders) - 1):
        _lead(signatures, borders[group], borders[group + 1], least, bands, rows, compared, out)
