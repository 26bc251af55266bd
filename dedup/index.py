"""A saved MinHash index of records that earlier runs kept: query it, extend it, and deduplicate against it.

An index is a folder. `index.json` names the settings and the segments; each segment holds the band keys of its records
(sorted) and, by row, signature, id and the head of the text. Segments are never changed. A new version of `index.json`
replaces the old one in a single rename, so a reader sees a whole index at any moment, and a crash while adding leaves
the old version.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.folding import Level
from dedup.index_files import FORMAT, Settings, State, read_segment, read_state, record_in, write_segment
from dedup.lsh import band_keys
from dedup.minhash import MinHashDedup
from dedup.shingles import Unit
from dedup.signatures import estimated_jaccard, signature_column, signature_matrix
from raylib.atomic import write_atomically
from raylib.errors import ParameterError
from raylib.locking import locked
from raylib.schema import text_of

__all__ = ["Match", "MinHashIndex", "index_of", "open_index"]

_PROBE = "这是一段用来核对散列函数的文字。The quick brown fox."
_HEAD = 200  # characters of a text that the index keeps to show


@dataclass(frozen=True)
class Match:
    """A record of the index that is similar to a text.

    Attributes:
        id: Id of the record.
        source: Source of the record.
        similarity: Estimated Jaccard similarity, 0 to 1.
        text: The first 200 characters of the record's text.
    """

    id: str
    source: str
    similarity: float
    text: str


@dataclass(frozen=True)
class _Segment:
    """Records that were added at one time.

    Attributes:
        keys: Band keys, sorted, [K].
        rows: Record of each key, [K].
        records: The records: id, source, head and signature.
    """

    keys: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]
    records: pa.Table


def _check_new(folder: Path) -> None:
    if (folder / "index.json").exists():
        raise ParameterError(f"{str(folder)!r} holds an index already; `raylib index update` adds to it")


class MinHashIndex:
    """An open index. `MinHashIndex.create(path)` starts one, `MinHashIndex(path)` opens it.

    Attributes:
        path: Its folder.
        version: Number of times that records were added.
        stage: The stage with the index's settings.
        level: How much of the texts is ignored.
        bands: Number of bands of a signature.
        rows: Number of values of a band.
        segment_names: Names of its segments.
    """

    def __init__(self, path: str | Path) -> None:
        """Open an index.

        Args:
            path: Folder of the index.

        Raises:
            ParameterError: if the folder is not an index, or if the index was made with other hash functions.
        """
        self.path = Path(path)
        if not (self.path / "index.json").is_file():
            raise ParameterError(
                f"{str(path)!r} is not an index (it has no index.json); make one with `raylib index build`"
            )
        state = read_state(self.path)
        if state.get("format") != FORMAT:
            raise ParameterError(
                f"{str(path)!r} has index format {state.get('format')}, whose texts were folded in another way; this "
                f"version of raylib reads {FORMAT}: build it again with `raylib index build NEW-FOLDER IN...`"
            )
        settings = state["settings"]
        self.version = state["version"]
        self.stage = MinHashDedup(
            threshold=settings["threshold"],
            ngram=settings["ngram"],
            unit=settings["unit"],
            permutations=settings["permutations"],
            normalise=settings["normalise"],
            seed=settings["seed"],
        )
        self.level = settings["normalise"]
        self.bands, self.rows = settings["bands"], settings["rows"]
        if state["probe"] != _probe(self.stage, self.level):
            raise ParameterError(f"{str(path)!r} was made with other hash functions; build the index again")
        self.segment_names = state["segments"]
        self._segments: dict[str, _Segment] = {}

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        threshold: float = 0.7,
        ngram: int = 5,
        unit: Unit = "character",
        permutations: int = 128,
        layout: tuple[int, int] | None = None,
        seed: int = 1,
        normalise: Level = "standard",
    ) -> MinHashIndex:
        """Start an empty index.

        Args:
            path: Folder of the new index.
            threshold: Least Jaccard similarity of duplicates.
            ngram: Number of tokens of a shingle.
            unit: Whether tokens are folded characters or words.
            permutations: Number of values of a signature.
            layout: Numbers of bands and of values of a band; by default the optimum for the threshold.
            seed: Seed of the permutations.
            normalise: What shingles ignore: `none`, `strict`, `standard` or `loose`.

        Raises:
            ParameterError: if the folder holds an index, or if a setting is wrong.
        """
        _check_new(Path(path))
        given = layout or (None, None)
        stage = MinHashDedup(threshold, ngram, unit, permutations, given[0], given[1], normalise=normalise, seed=seed)
        state = _empty_state(stage, normalise)
        with locked(Path(path)):
            _check_new(Path(path))  # another process may have been faster
            write_atomically(Path(path) / "index.json", json.dumps(state, indent=1).encode())
        return cls(path)

    def __len__(self) -> int:
        return sum(len(self._segment(name).records) for name in self.segment_names)

    # ---- writing ------------------------------------------------------------------------------

    def add(self, tables: Iterable[pa.Table]) -> int:
        """Append a segment with all records of some tables. An index has one writer at a time.

        Args:
            tables: Tables of records of any kind.

        Returns:
            Number of records that were added.

        Raises:
            ParameterError: if another writer has changed the index since it was opened.
            LockedError: if another process adds to the index.
        """
        with locked(self.path):
            return self._add(tables)

    def _add(self, tables: Iterable[pa.Table]) -> int:
        self._check_unchanged()
        keys, rows, records = [], [], []
        total = 0
        for table in tables:
            if len(table) == 0:
                continue
            texts = text_of(table)
            matrix = self.stage.signatures(texts, self.level)
            keys.append(band_keys(matrix, self.bands, self.rows).ravel())
            rows.append(np.repeat(np.arange(total, total + len(table), dtype=np.int64), self.bands))
            records.append(
                pa.table(
                    {
                        "id": table["id"],
                        "source": table["source"],
                        "head": pc.utf8_slice_codeunits(texts, 0, _HEAD),
                        "signature": signature_column(matrix),
                    }
                )
            )
            total += len(table)
        if total == 0:
            return 0
        name = f"segment-{self.version + 1:06d}"
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier attempt that was killed
        folder.mkdir()
        all_keys, all_rows = np.concatenate(keys), np.concatenate(rows)
        order = np.argsort(all_keys, kind="stable")
        write_segment(folder / "keys.arrow", pa.table({"key": all_keys[order], "row": all_rows[order]}))
        write_segment(folder / "records.arrow", pa.concat_tables(records))
        self._commit([*self.segment_names, name])
        return total

    def _check_unchanged(self) -> State:
        state = read_state(self.path)
        if state["version"] != self.version:
            raise ParameterError(f"{str(self.path)!r} was changed by another writer; open it again")
        return state

    def _commit(self, segments: list[str]) -> None:
        state = self._check_unchanged()
        state["version"], state["segments"] = self.version + 1, segments
        write_atomically(self.path / "index.json", json.dumps(state, indent=1).encode())
        self.version, self.segment_names = self.version + 1, segments

    # ---- queries ------------------------------------------------------------------------------

    def _segment(self, name: str) -> _Segment:
        if name not in self._segments:
            width = self.stage.permutations
            keys, records = (read_segment(self.path / name / file, width) for file in ("keys.arrow", "records.arrow"))
            columns = keys.column("key").to_numpy(), keys.column("row").to_numpy()
            self._segments[name] = _Segment(*columns, pa.Table.from_batches([records]))
        return self._segments[name]

    def best(self, texts: pa.Array) -> list[Match | None]:
        """For each text the most similar record at or over the threshold, or None.

        Args:
            texts: String array.
        """
        found: list[Match | None] = [None] * len(texts)
        for row, match in self._matches(texts, self.stage.threshold):
            known = found[row]
            if known is None or (-match.similarity, match.id) < (-known.similarity, known.id):
                found[row] = match
        return found

    def query(self, text: str, k: int = 10, min_similarity: float = 0.3) -> list[Match]:
        """The records that are most similar to a text, best first.

        Candidates share a band with the text, so below the threshold the list is a sample rather than complete.

        Args:
            text: The text.
            k: Largest number of records.
            min_similarity: Least estimated Jaccard similarity, 0 to 1.
        """
        matches = [m for _, m in self._matches(pa.array([text], pa.large_string()), min_similarity)]
        return sorted(matches, key=lambda m: (-m.similarity, m.id))[:k]

    def _matches(self, texts: pa.Array, least: float) -> Iterator[tuple[int, Match]]:
        if len(texts) == 0:
            return
        matrix = self.stage.signatures(texts, self.level)
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
            if rows.min() < 0 or rows.max() >= len(segment.records):
                raise ParameterError(f"the index is damaged: {self.path / name} lacks records; build it again")
            held = signature_matrix(segment.records["signature"].take(pa.array(rows)))
            both = np.concatenate([low[asking], held])
            similarity = estimated_jaccard(both, np.arange(len(rows)), np.arange(len(rows)) + len(rows))
            for i in np.flatnonzero(similarity >= least).tolist():
                record = record_in(segment.records, int(rows[i]), self.path / name)
                yield int(asking[i]), Match(record["id"], record["source"], float(similarity[i]), record["head"])


def _empty_state(stage: MinHashDedup, level: Level) -> State:
    """The state of an index without records."""
    bands, rows = stage.layout
    settings: Settings = {
        "threshold": stage.threshold,
        "ngram": stage.ngram,
        "unit": stage.unit,
        "normalise": level,
        "permutations": stage.permutations,
        "seed": stage.seed,
        "bands": bands,
        "rows": rows,
    }
    return {"format": FORMAT, "version": 0, "settings": settings, "probe": _probe(stage, level), "segments": []}


def _probe(stage: MinHashDedup, level: Level) -> list[int]:
    """A few values of a fixed text's signature, which other hash functions would change."""
    values: list[int] = stage.signatures(pa.array([_PROBE], pa.large_string()), level)[0, :8].tolist()
    return values


def open_index(path: str | Path) -> MinHashIndex:
    """Open a saved index, to query it: `open_index("idx").query("some text")`.

    Args:
        path: Folder of the index.

    Returns:
        The index.

    Raises:
        ParameterError: if the folder is not an index.
    """
    return MinHashIndex(path)


def index_of(folder: str | Path, tables: Iterable[pa.Table]) -> MinHashIndex:
    """A new index of all records of some tables; `Dataset.similar` queries it.

    Args:
        folder: Folder of the new index.
        tables: Tables of records of any kind.
    """
    index = MinHashIndex.create(folder, threshold=0.5)
    index.add(tables)
    return index
