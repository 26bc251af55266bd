"""Compiled loops of selection. Loaded only where they are used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from raylib.compiled import compiled

__all__ = ["accept", "farthest_first"]

Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]  # positions


@compiled(nogil=True)
def accept(scores: Singles, best: Singles, near: Rows, threshold: float, room: int, kept: int) -> Rows:
    """Rows of a block that stay, in order: not close to anything kept before (`best`), nor to one of the block."""
    taken = np.empty(len(best), np.int64)
    count = 0
    for i in range(len(best)):
        if count >= room:
            break
        if best[i] >= threshold:
            continue
        close = -1
        for j in range(count):
            if scores[i, taken[j]] >= threshold and (close < 0 or scores[i, taken[j]] > scores[i, taken[close]]):
                close = j
        if close >= 0:
            best[i], near[i] = scores[i, taken[close]], kept + close
        else:
            taken[count] = i
            count += 1
    return taken[:count]


@compiled(nogil=True)
def farthest_first(vectors: Singles, first: int, steps: int) -> tuple[Rows, Singles]:
    """Farthest-first traversal (Gonzalez 1985): the points in order and the distance at which each was taken."""
    n = len(vectors)
    rows, radius = np.empty(steps, np.int64), np.empty(steps, np.float32)
    distance = np.full(n, np.float32(np.inf), np.float32)
    at = first
    for step in range(steps):
        rows[step], radius[step] = at, distance[at]
        similar = np.dot(vectors, vectors[at])
        best = 0
        for i in range(n):
            d = np.float32(1.0) - similar[i]
            distance[i] = min(distance[i], d)
            if distance[i] > distance[best]:
                best = i
        distance[at] = np.float32(-1.0)
        at = best if best != at else int(np.argmax(distance))
    return rows, radius
