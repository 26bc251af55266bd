"""A saved MinHash index: what earlier runs kept, to be asked, extended, and deduplicated against.

A folder: `index.json` names the settings and the segments; each segment holds the band keys of its
records (sorted) and, by row, signature, id and the head of the text. Segments are never changed, a new
version of `index.json` replaces the old one in a single rename, so a reader sees a whole index at any
moment and a crash while adding leaves the old version.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.lsh import band_keys
from dedup.minhash import MinHashDedup
from dedup.signatures import estimated_jaccard, signature_column, signature_matrix, signatures
from raylib.atomic import write_atomically
from raylib.schema import text_of

__all__ = ["Match", "MinHashIndex", "open_index"]


_FORMAT = 1
_PROBE = "这是一段用来核对散列函数的文字。The quick brown fox."
_SETTINGS = ("threshold", "ngram", "unit", "permutations", "seed")
_HEAD = 200  # characters of a text that the index keeps to show
Matrix = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Match:
    """A record of the index that is similar to a text."""

    id: str
    source: str
    similarity: float
    text: str


@dataclass(frozen=True)
class _Segment:
    keys: Matrix
    rows: Matrix
    records: pa.Table


class MinHashIndex:
    """An open index. `MinHashIndex.create(path)` starts one, `MinHashIndex(path)` opens it."""

    def __init__(self, path: str | Path) -> None:
        """Open an index. Raises ValueError when there is none, or when it was made with other hash functions."""
        self.path = Path(path)
        file = self.path / "index.json"
        if not file.is_file():
            raise ValueError(f"{str(path)!r} is no index (no index.json); make one with `raylib index build`")
        state = json.loads(file.read_text("utf-8"))
        if state.get("format") != _FORMAT:
            raise ValueError(f"{str(path)!r} has index format {state.get('format')}, this version reads {_FORMAT}")
        self.version: int = state["version"]
        self.stage = MinHashDedup(**{k: state["settings"][k] for k in _SETTINGS})
        self.bands, self.rows = state["settings"]["bands"], state["settings"]["rows"]
        if state["probe"] != self._probe():
            raise ValueError(f"{str(path)!r} was made with other hash functions and cannot be used; build it again")
        self.segment_names: list[str] = state["segments"]
        self._segments: dict[str, _Segment] = {}

    @classmethod
    def create(cls, path: str | Path, **settings: Any) -> MinHashIndex:
        """Start an empty index with settings of `MinHashDedup` (threshold, ngram, unit, permutations, seed)."""
        folder = Path(path)
        if (folder / "index.json").exists():
            raise ValueError(f"{str(path)!r} holds an index already; `raylib index update` adds to it")
        folder.mkdir(parents=True, exist_ok=True)
        stage = MinHashDedup(**settings)
        bands, rows = stage.layout
        state = {
            "format": _FORMAT,
            "version": 0,
            "settings": {**{k: getattr(stage, k) for k in _SETTINGS}, "bands": bands, "rows": rows},
            "probe": cls._signatures_of(stage, pa.array([_PROBE], pa.large_string()))[0, :8].tolist(),
            "segments": [],
        }
        write_atomically(folder / "index.json", json.dumps(state, indent=1).encode())
        return cls(path)

    def __len__(self) -> int:
        return sum(len(self._segment(name).records) for name in self.segment_names)

    @staticmethod
    def _signatures_of(stage: MinHashDedup, texts: pa.Array) -> Matrix:
        return signatures(texts, ngram=stage.ngram, unit=stage.unit, permutations=stage.permutations, seed=stage.seed)

    def _probe(self) -> list[int]:
        found: list[int] = self._signatures_of(self.stage, pa.array([_PROBE], pa.large_string()))[0, :8].tolist()
        return found

    # ---- writing ------------------------------------------------------------------------------

    def add(self, tables: Iterable[pa.Table]) -> int:
        """Append a segment with all records of the tables; returns how many. One writer at a time."""
        keys, rows, records = [], [], []
        total = 0
        for table in tables:
            if len(table) == 0:
                continue
            texts = text_of(table)
            matrix = self._signatures_of(self.stage, texts)
            bands = band_keys(matrix, self.bands, self.rows)
            keys.append(bands.ravel())
            rows.append(np.repeat(np.arange(total, total + len(table), dtype=np.int64), self.bands))
            records.append(self._records(table, texts, matrix))
            total += len(table)
        if total == 0:
            return 0
        name = f"segment-{self.version + 1:06d}"
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier attempt that was killed
        folder.mkdir()
        all_keys, all_rows = np.concatenate(keys), np.concatenate(rows)
        order = np.argsort(all_keys, kind="stable")
        _write(folder / "keys.arrow", pa.table({"key": all_keys[order], "row": all_rows[order]}))
        _write(folder / "records.arrow", pa.concat_tables(records))
        self._commit([*self.segment_names, name])
        return total

    def _records(self, table: pa.Table, texts: pa.Array, matrix: Matrix) -> pa.Table:
        import pyarrow.compute as pc

        return pa.table(
            {
                "id": table["id"],
                "source": table["source"],
                "head": pc.utf8_slice_codeunits(texts, 0, _HEAD),
                "signature": signature_column(matrix),
            }
        )

    def _commit(self, segments: list[str]) -> None:
        state = json.loads((self.path / "index.json").read_text("utf-8"))
        if state["version"] != self.version:
            raise ValueError(f"{str(self.path)!r} was changed by another writer; open it again")
        state |= {"version": self.version + 1, "segments": segments}
        write_atomically(self.path / "index.json", json.dumps(state, indent=1).encode())
        self.version, self.segment_names = self.version + 1, segments

    # ---- asking -------------------------------------------------------------------------------

    def _segment(self, name: str) -> _Segment:
        if name not in self._segments:
            keys = pa.ipc.open_file(pa.memory_map(str(self.path / name / "keys.arrow"))).get_batch(0)
            records = pa.ipc.open_file(pa.memory_map(str(self.path / name / "records.arrow"))).get_batch(0)
            columns = keys.column("key").to_numpy(), keys.column("row").to_numpy()
            self._segments[name] = _Segment(*columns, pa.Table.from_batches([records]))
        return self._segments[name]

    def best(self, texts: pa.Array) -> list[Match | None]:
        """For each text the most similar record at or over the threshold, or None."""
        found: list[Match | None] = [None] * len(texts)
        for row, match in self._matches(texts, self.stage.threshold):
            known = found[row]
            if known is None or (-match.similarity, match.id) < (-known.similarity, known.id):
                found[row] = match
        return found

    def query(self, text: str, k: int = 10, min_similarity: float = 0.3) -> list[Match]:
        """The up to `k` records most similar to a text, best first.

        Candidates share a band with it, so below the threshold the list is a sample rather than complete.
        """
        matches = [m for _, m in self._matches(pa.array([text], pa.large_string()), min_similarity)]
        return sorted(matches, key=lambda m: (-m.similarity, m.id))[:k]

    def _matches(self, texts: pa.Array, least: float) -> Iterator[tuple[int, Match]]:
        if len(texts) == 0:
            return
        matrix = self._signatures_of(self.stage, texts)
        asked = band_keys(matrix, self.bands, self.rows)
        low = signature_matrix(signature_column(matrix))
        owner = np.repeat(np.arange(len(texts)), self.bands)
        for name in self.segment_names:
            segment = self._segment(name)
            first = np.searchsorted(segment.keys, asked.ravel(), side="left")
            last = np.searchsorted(segment.keys, asked.ravel(), side="right")
            pairs = {
                (int(owner[i]), row)
                for i in np.flatnonzero(last > first).tolist()
                for row in segment.rows[first[i] : last[i]].tolist()
            }
            if not pairs:
                continue
            asking, rows = np.array(sorted(pairs), np.int64).T
            held = signature_matrix(segment.records["signature"].take(pa.array(rows)))
            both = np.concatenate([low[asking], held])
            similarity = estimated_jaccard(both, np.arange(len(rows)), np.arange(len(rows)) + len(rows))
            for i in np.flatnonzero(similarity >= least).tolist():
                record = segment.records.slice(int(rows[i]), 1).to_pylist()[0]
                yield int(asking[i]), Match(record["id"], record["source"], float(similarity[i]), record["head"])


def open_index(path: str | Path) -> MinHashIndex:
    """Open a saved index, to ask it: `open_index("idx").query("some text")`. Raises ValueError when there is none."""
    return MinHashIndex(path)


def index_of(folder: str | Path, tables: Iterable[pa.Table]) -> MinHashIndex:
    """A new index in a folder, of all records of some tables: what `Dataset.similar` asks."""
    index = MinHashIndex.create(folder, threshold=0.5)
    index.add(tables)
    return index


def _write(path: Path, table: pa.Table) -> None:
    table = table.combine_chunks()
    with path.open("wb") as stream:
        with pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
        stream.flush()
        os.fsync(stream.fileno())
