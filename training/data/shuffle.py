"""An external shuffle of tokenised samples: memory holds one chunk or one bucket, never all the data.

Samples are dealt to buckets at random while they are written in chunks, sorted by bucket within a chunk. Then one
bucket after the other is read from all chunks, shuffled and appended. These are the usual two passes (Sanders, "Random
permutations on distributed, external and hierarchical memory", 1998). Only the seed and the input determine the order.
"""

from __future__ import annotations

import io
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
from numba import njit

from raylib.atomic import FULL_VOLUME, write_atomically
from raylib.checksums import opened, sealed
from raylib.errors import TrainingError
from raylib.foreign_json import parsed
from raylib.storage.checking import damage_of
from raylib.storage.store import Store
from raylib.storage.token_folder import file_sums
from training.data.encoded import Encoded, Refused

__all__ = ["REFUSED", "Part", "Spill", "is_whole", "join", "read_part"]

_log = logging.getLogger(__name__)

REFUSED = "refused.jsonl"
"""Name of the file that lists the records that are left out, in a part and in a token folder."""
_UNREAD = "unread.jsonl"  # those of a part that could not even be read


_PART = "part.json"  # written last
_CHUNK = 1 << 25  # tokens that are held before they are written
_Values = TypeVar("_Values", bound=npt.NDArray[np.generic])


@njit(cache=True)
def _gather(
    values: npt.NDArray[np.generic],
    begins: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    out: npt.NDArray[np.generic],
) -> None:
    """Copy runs of `values` to `out` in another order: run order[0] first."""
    at = 0
    for k in range(len(order)):
        i = order[k]
        out[at : at + lengths[i]] = values[begins[i] : begins[i] + lengths[i]]
        at += lengths[i]


class Part(TypedDict):
    """What `part.json` holds about the part of an input file: tokens and records by source, refused ones by reason."""

    tokens: dict[str, int]
    records: dict[str, int]
    dropped: dict[str, int]
    unlearnt: dict[str, int]
    expanded: int
    cut: int
    chunks: int
    samples: int
    files: dict[str, tuple[int, str]]


def read_part(folder: Path) -> Part:
    """Read what a finished part holds.

    Args:
        folder: Folder of the part.

    Raises:
        TrainingError: `part.json` is damaged.
    """
    path = folder / _PART
    try:
        line = opened(path.read_bytes(), strict=True)
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror or error}") from None
    if line is None:
        raise TrainingError(f"the content of {path} has changed")
    facts: Part = parsed(line, str(path), Part, TrainingError)
    return facts


def is_whole(folder: Path) -> bool:
    """Whether a part was finished and its files are as they were written; a damaged one is named in the log.

    Args:
        folder: Folder of the part.
    """
    if not (folder / _PART).is_file():
        return False
    try:
        written = read_part(folder)["files"]
    except TrainingError as error:
        _log.warning("%s; the part is made anew", error)
        return False
    for name, (size, checksum) in written.items():
        problem = damage_of(Store(str(folder)), name, size, checksum)
        if problem is not None:
            _log.warning("%s; the part is made anew", problem or f"{folder / name} is missing")
            return False
    return True


class Spill:
    """Samples of one input file on their way to buckets; `close` completes the file's part.

    Args:
        folder: Folder of the part.
        width: Number of sequences of a sample.
        buckets: Number of buckets.
        seed: Seed of the draw of buckets.
    """

    def __init__(self, folder: Path, *, width: int, buckets: int, seed: Sequence[int]) -> None:
        self._folder, self._width, self._buckets, self._seed = folder, width, buckets, list(seed)
        self._held: list[Encoded] = []
        self._held_tokens = self._chunks = self._samples = self._cut = self._expanded = 0
        self._tokens: Counter[str] = Counter()
        self._records: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()
        self._unlearnt: Counter[str] = Counter()
        folder.mkdir(parents=True, exist_ok=True)
        for name in (REFUSED, _UNREAD):
            (folder / name).write_bytes(b"")

    def note_unread(self, records: Sequence[Refused]) -> None:
        """Note records that cannot be read. Another thread than that of `add` may call it."""
        self._unread.update(record.reason for record in records)
        self._note(records, _UNREAD)

    def _note(self, records: Sequence[Refused], name: str) -> None:
        if records:
            with (self._folder / name).open("ab") as stream:
                stream.writelines(orjson.dumps(record._asdict()) + b"\n" for record in records)

    def add(self, encoded: Encoded) -> None:
        """Take the next samples of the file."""
        self._tokens.update(encoded.tokens)
        self._records.update(encoded.records)
        self._unlearnt.update(encoded.unlearnt)
        self._cut += encoded.cut
        self._expanded += encoded.expanded
        self._dropped.update(record.reason for record in encoded.refused)
        self._note(encoded.refused, REFUSED)
        self._held.append(encoded)
        self._held_tokens += len(encoded.ids)
        if self._held_tokens >= _CHUNK:
            self._write()

    def _write(self) -> None:
        """Write the samples in memory as one chunk, sorted by bucket."""
        ids = np.concatenate([e.ids for e in self._held])
        lengths = np.concatenate([e.lengths for e in self._held])
        masks = [e.targets for e in self._held if e.targets is not None]
        sizes = lengths.reshape(-1, self._width).sum(axis=1)
        begins = np.cumsum(sizes) - sizes
        bucket = np.random.default_rng([*self._seed, self._chunks]).integers(0, self._buckets, len(sizes))
        order = np.argsort(bucket, kind="stable")
        stem = self._folder / f"{self._chunks:05d}"
        _write_values(f"{stem}.ids", _reordered(ids, begins, sizes, order))
        if masks:
            _write_values(f"{stem}.targets", _reordered(np.concatenate(masks), begins, sizes, order))
        _save(f"{stem}.lengths.npy", lengths.reshape(-1, self._width)[order])
        ends = np.searchsorted(bucket[order], np.arange(self._buckets + 1))
        _save(f"{stem}.borders.npy", np.stack([ends, np.concatenate([[0], np.cumsum(sizes[order])])[ends]]))
        self._held, self._held_tokens = [], 0
        self._chunks += 1
        self._samples += len(sizes)

    def close(self) -> None:
        """Flush buffered samples and mark the part as complete."""
        if self._held_tokens:
            self._write()
        with (self._folder / REFUSED).open("ab") as stream:
            stream.write((self._folder / _UNREAD).read_bytes())
        names = sorted(path.name for path in self._folder.iterdir() if path.name not in (_PART, _UNREAD))
        facts = Part(
            tokens=self._tokens,
            records=self._records,
            dropped=self._dropped + self._unread,
            unlearnt=self._unlearnt,
            expanded=self._expanded,
            cut=self._cut,
            chunks=self._chunks,
            samples=self._samples,
            files=file_sums(self._folder, names),
        )
        write_atomically(self._folder / _PART, sealed(orjson.dumps(facts)))


def _reordered(
    values: _Values, begins: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
) -> _Values:
    """Runs of `values` in another order."""
    out: _Values = np.empty_like(values)
    _gather(values, begins, sizes, order, out)
    return out


def _write_values(path: str, values: npt.NDArray[np.generic]) -> None:
    """Write bare values; `tofile()` of numpy raises errors of a full volume without their number."""
    with open(path, "wb") as stream:
        stream.write(values.data)


def _save(path: str, values: npt.NDArray[np.generic]) -> None:
    """Write an array as `np.save()` does, which calls `tofile()`, too."""
    held = io.BytesIO()
    np.save(held, values)
    with open(path, "wb") as stream:
        stream.write(held.getbuffer())


def _reserve(path: Path) -> None:
    """Take the room of a file that is mapped: writing to a map on a full volume is a SIGBUS, not an error."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as stream:
        try:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in FULL_VOLUME:
                raise
            # a file system that cannot reserve


@dataclass
class _Chunk:
    """One chunk of a part.

    Attributes:
        stem: Path of its files without the suffix.
        lengths: Length of each sequence, `[samples, width]`, mapped.
        borders: Samples and tokens before each bucket, `[2, buckets + 1]`.
    """

    stem: str
    lengths: npt.NDArray[np.int64]
    borders: npt.NDArray[np.int64]

    def samples(self, bucket: int) -> npt.NDArray[np.int64]:
        """Lengths of the samples in a bucket, `[n, width]`."""
        return self.lengths[int(self.borders[0, bucket]) : int(self.borders[0, bucket + 1])]

    def values(self, suffix: str, kind: np.dtype[np.generic], bucket: int) -> npt.NDArray[np.generic]:
        """Content of a bucket in one of the chunk's files."""
        first, last = int(self.borders[1, bucket]), int(self.borders[1, bucket + 1])
        return np.fromfile(f"{self.stem}{suffix}", kind, last - first, offset=first * kind.itemsize)


@dataclass(frozen=True)
class _Output:
    """One file of a token folder: its stream, the suffix of the chunks' files, their data type and its own."""

    stream: BinaryIO
    suffix: str
    read_as: np.dtype[np.generic]
    written_as: np.dtype[np.generic]


def join(
    parts: Sequence[Path], folder: Path, *, width: int, buckets: int, dtype: np.dtype[np.generic], seed: int
) -> tuple[int, int]:
    """Join all parts to `tokens.bin`, `starts.npy` and, if there are targets, `targets.bin`.

    Args:
        parts: Complete parts.
        folder: The token folder.
        width: Number of sequences of a sample.
        buckets: Number of buckets of the parts.
        dtype: Data type of the token file.
        seed: Seed of the order within a bucket.

    Returns:
        Number of tokens and number of samples.
    """
    chunks, samples = _chunks(parts)
    masked = any(os.path.exists(f"{c.stem}.targets") for c in chunks)
    starts = np.lib.format.open_memmap(folder / "starts.npy", mode="w+", dtype=np.int64, shape=(samples * width + 1,))
    _reserve(folder / "starts.npy")
    starts[0] = 0
    at = done = 0
    ids_type, mask_type = np.dtype(np.uint32), np.dtype(np.uint8)
    with (folder / "tokens.bin").open("wb") as tokens, (folder / "targets.bin").open("wb") as targets:
        outputs = [_Output(tokens, ".ids", ids_type, dtype)]
        if masked:
            outputs.append(_Output(targets, ".targets", mask_type, mask_type))
        for bucket in range(buckets):
            found = [c for c in chunks if len(c.samples(bucket))]
            if not found:
                continue
            lengths = _append_bucket(found, bucket, outputs, seed)
            ends = at + np.cumsum(lengths.ravel())
            starts[done * width + 1 : (done + len(lengths)) * width + 1] = ends
            at, done = int(ends[-1]), done + len(lengths)
        for stream in (tokens, targets):
            stream.flush()
            os.fsync(stream.fileno())
    starts.flush()
    if not masked:
        (folder / "targets.bin").unlink()
    return at, done


def _chunks(parts: Sequence[Path]) -> tuple[list[_Chunk], int]:
    """All chunks of all parts, and the number of their samples."""
    chunks, samples = [], 0
    for part in parts:
        facts = read_part(part)
        samples += facts["samples"]
        for number in range(facts["chunks"]):
            stem = str(part / f"{number:05d}")
            chunks.append(_Chunk(stem, np.load(f"{stem}.lengths.npy", mmap_mode="r"), np.load(f"{stem}.borders.npy")))
    return chunks, samples


def _append_bucket(
    chunks: Sequence[_Chunk], bucket: int, outputs: Sequence[_Output], seed: int
) -> npt.NDArray[np.int64]:
    """Append a bucket, shuffled, to the outputs; returns the lengths of its sequences in their new order."""
    lengths = np.concatenate([c.samples(bucket) for c in chunks])
    sizes = lengths.sum(axis=1)
    begins = np.cumsum(sizes) - sizes
    order = np.random.default_rng([seed, bucket]).permutation(len(sizes))
    for output in outputs:
        values = np.concatenate([c.values(output.suffix, output.read_as, bucket) for c in chunks])
        out = np.empty(len(values), output.written_as)
        _gather(values, begins, sizes, order, out)
        output.stream.write(out.data)  # not tofile(), which does not say what went wrong
    shuffled: npt.NDArray[np.int64] = lengths[order]
    return shuffled
