"""An external shuffle of tokenised samples: what is in memory is one chunk or one bucket, never the data.

Samples are dealt to buckets at random while they are written in chunks, sorted by bucket within a chunk; then one
bucket after the other is read from all chunks, shuffled and appended. (The usual two passes; Sanders, "Random
permutations on distributed, external and hierarchical memory", 1998.) Seed and input alone determine the order.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numba import njit

from training.data.encoding import Encoded

__all__ = ["Spill", "join"]


Array = np.ndarray[Any, Any]
_CHUNK = 1 << 25  # tokens that are held before they are written


@njit(cache=True)
def _gather(values: Array, begins: Array, lengths: Array, order: Array, out: Array) -> None:
    """Runs of `values` in another order: run order[0] first."""
    at = 0
    for k in range(len(order)):
        i = order[k]
        out[at : at + lengths[i]] = values[begins[i] : begins[i] + lengths[i]]
        at += lengths[i]


class Spill:
    """Samples of one input file, on their way to buckets. `close` makes the file's part complete."""

    def __init__(self, folder: Path, *, width: int, buckets: int, seed: Sequence[int]) -> None:
        self._folder, self._width, self._buckets, self._seed = folder, width, buckets, list(seed)
        self._held: list[Encoded] = []
        self._tokens = self._chunks = self._samples = 0
        self._facts: dict[str, Any] = {"tokens": Counter(), "records": Counter(), "dropped": Counter(), "cut": 0}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, encoded: Encoded) -> None:
        """Take the next samples of the file."""
        for name in ("tokens", "records", "dropped"):
            self._facts[name].update(getattr(encoded, name))
        self._facts["cut"] += encoded.cut
        self._held.append(encoded)
        self._tokens += len(encoded.ids)
        if self._tokens >= _CHUNK:
            self._write()

    def _write(self) -> None:
        ids = np.concatenate([e.ids for e in self._held])
        lengths = np.concatenate([e.lengths for e in self._held])
        masks = [e.targets for e in self._held if e.targets is not None]
        sizes = lengths.reshape(-1, self._width).sum(axis=1)
        begins = np.cumsum(sizes) - sizes
        bucket = np.random.default_rng([*self._seed, self._chunks]).integers(0, self._buckets, len(sizes))
        order = np.argsort(bucket, kind="stable")
        stem = self._folder / f"{self._chunks:05d}"
        for name, values in (("ids", ids), ("targets", np.concatenate(masks) if masks else None)):
            if values is not None:
                out = np.empty_like(values)
                _gather(values, begins, sizes, order, out)
                out.tofile(f"{stem}.{name}")
        np.save(f"{stem}.lengths.npy", lengths.reshape(-1, self._width)[order])
        ends = np.searchsorted(bucket[order], np.arange(self._buckets + 1))
        np.save(f"{stem}.borders.npy", np.stack([ends, np.concatenate([[0], np.cumsum(sizes[order])])[ends]]))
        self._held, self._tokens = [], 0
        self._chunks += 1
        self._samples += len(sizes)

    def close(self) -> None:
        """Write what is held, and that the part is whole."""
        if self._tokens:
            self._write()
        facts = {**self._facts, "chunks": self._chunks, "samples": self._samples}
        temporary = self._folder / "part.tmp"
        temporary.write_bytes(orjson.dumps(facts))
        os.replace(temporary, self._folder / "part.json")


@dataclass
class _Chunk:
    stem: str
    lengths: Array  # (samples, width), mapped
    borders: Array  # (2, buckets + 1): samples and tokens before each bucket


def join(parts: Sequence[Path], folder: Path, *, width: int, buckets: int, dtype: Any, seed: int) -> tuple[int, int]:
    """All parts as `tokens.bin`, `targets.bin` (if there are any) and `starts.npy`; returns tokens and samples."""
    chunks, samples = [], 0
    for part in parts:
        facts = orjson.loads((part / "part.json").read_bytes())
        samples += facts["samples"]
        for number in range(facts["chunks"]):
            stem = str(part / f"{number:05d}")
            chunks.append(_Chunk(stem, np.load(f"{stem}.lengths.npy", mmap_mode="r"), np.load(f"{stem}.borders.npy")))
    masked = any(os.path.exists(f"{c.stem}.targets") for c in chunks)
    starts = np.lib.format.open_memmap(folder / "starts.npy", mode="w+", dtype=np.int64, shape=(samples * width + 1,))
    starts[0] = 0
    at = done = 0
    with (folder / "tokens.bin").open("wb") as tokens, (folder / "targets.bin").open("wb") as targets:
        for bucket in range(buckets):
            found = [(c, int(c.borders[0, bucket]), int(c.borders[0, bucket + 1])) for c in chunks]
            found = [(c, a, b) for c, a, b in found if b > a]
            if not found:
                continue
            lengths = np.concatenate([c.lengths[a:b] for c, a, b in found])
            sizes = lengths.sum(axis=1)
            begins = np.cumsum(sizes) - sizes
            order = np.random.default_rng([seed, bucket]).permutation(len(sizes))
            for name, kind, stream in (("ids", np.uint32, tokens), ("targets", np.uint8, targets)):
                if name == "targets" and not masked:
                    continue
                values = np.concatenate([_part(c, name, kind, bucket) for c, _, _ in found])
                out = np.empty(len(values), dtype if name == "ids" else kind)
                _gather(values, begins, sizes, order, out)
                out.tofile(stream)
            ends = at + np.cumsum(lengths[order].ravel())
            starts[done * width + 1 : (done + len(order)) * width + 1] = ends
            at, done = int(ends[-1]), done + len(order)
        for stream in (tokens, targets):
            stream.flush()
            os.fsync(stream.fileno())
    starts.flush()
    if not masked:
        (folder / "targets.bin").unlink()
    return at, done


def _part(chunk: _Chunk, name: str, kind: Any, bucket: int) -> Array:
    first, last = int(chunk.borders[1, bucket]), int(chunk.borders[1, bucket + 1])
    size = np.dtype(kind).itemsize
    return np.fromfile(f"{chunk.stem}.{name}", kind, last - first, offset=first * size)
