"""What a data set or a run holds: `raylib inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import SourceError
from raylib.messages import MESSAGES
from raylib.reading.block import ReadOptions
from raylib.reading.found import by_reason, passed_lines
from raylib.reading.kinds import kinds_in_words, recognised_kind
from raylib.reading.layouts import guess_kind, layout
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import Parsed, first_record, parse
from raylib.reading.sources import find_files, is_folder_of_a_run
from raylib.reading.units import Piece
from raylib.schema import SCHEMAS, text_of
from raylib.storage.names import RunFiles
from raylib.storage.store import Store
from raylib.storage.summary import Summary

__all__ = ["inspect_path"]


_SHOWN = 400  # characters of a sample
_MOST_SOURCES = 20


@dataclass
class _Totals:
    """What was counted in the records so far."""

    records: int = 0
    unreadable: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lengths: list[pa.Array] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def add(self, parsed: Parsed, samples: int) -> None:
        """Count a table of records, and keep texts until there are `samples` of them."""
        self.records += len(parsed.table)
        self.unreadable += len(parsed.rejects)
        for row in pc.value_counts(parsed.table["source"]).to_pylist():
            self.sources[row["values"]] += row["counts"]
        self.reasons.update(parsed.rejects["reason"].to_pylist())
        texts = text_of(parsed.table)
        self.lengths.append(pc.utf8_length(texts))
        self.shown += texts.slice(0, max(samples - len(self.shown), 0)).to_pylist()

    def lines(self, kind: str, stopped: bool) -> Iterator[str]:
        """The counts in words."""
        ending = " (stopped at the limit)" if stopped else ""
        yield f"{self.records:,} records, {self.unreadable:,} unreadable{ending}"
        for reason, count in self.reasons.most_common():
            yield f"  unreadable: {reason} {count:,}"
        yield "schema: " + ", ".join(f"{f.name}: {'messages' if f.type == MESSAGES else f.type}" for f in SCHEMAS[kind])
        if self.records:
            quantiles = pc.quantile(pa.chunked_array(self.lengths), [0, 0.1, 0.5, 0.9, 1]).to_pylist()
            yield "characters: min {:,.0f}, 10 % {:,.0f}, median {:,.0f}, 90 % {:,.0f}, max {:,.0f}".format(*quantiles)
            for source, count in self.sources.most_common(_MOST_SOURCES):
                yield f"  source {source or '(none)'}: {count:,}"
        for text in self.shown:
            yield f"--- {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}"


def inspect_path(path: str, *, samples: int = 3, encoding: str = "auto", limit: int | None = None) -> Iterator[str]:
    """Describe a data set, or a run and the records that it kept.

    Args:
        path: File, folder, glob or URI; or the output folder of a run.
        samples: Number of texts to show.
        encoding: Encoding of the files; `auto` detects it.
        limit: Number of records after which to stop reading. None reads everything.

    Yields:
        Lines of text: files, kind, schema, counts, sources, lengths, unreadable records, samples.

    Raises:
        SourceError: there is nothing to read, or no record in it.
    """
    if is_folder_of_a_run(path) and (store := Store(path)).exists(RunFiles.SUMMARY):
        summary = Summary.read(store)
        yield f"a run of recipe {summary.name!r}: {summary.records_in:,} records in"
        yield (f"kept {summary.records_kept:,}, rejected {summary.records_rejected:,}, report {path}/{RunFiles.REPORT}")
    files, passed = find_files(path)
    yield f"{_files(len(files))}, {sum(f.size for f in files):,} bytes on disk"
    yield from passed_lines(by_reason(passed, most=3))
    options = ReadOptions(encoding=encoding, block_bytes=4 << 20)
    kind, totals, stopped = "", _Totals(), False
    seen: set[str] = set()
    kinds: dict[str, list[str]] = {}
    for file, block in ((f, b) for f in files for b in blocks_of(Piece(f), options)):
        if file.path not in seen and (record := first_record(block)) is not None:
            seen.add(file.path)
            if not kind:
                kind = guess_kind(record)
                yield _described(record, kind, block.encoding)
            kinds.setdefault(recognised_kind(record) or "unknown", []).append(file.path)
        for parsed in parse(block, kind or "document"):
            totals.add(parsed, samples)
        stopped = limit is not None and totals.records >= limit
        if stopped:
            break
    if not totals.records and not totals.unreadable:
        raise SourceError(f"{path!r} contains no records in {_files(len(files))}")
    if len(kinds) > 1:
        yield f"kinds differ, and all records are read as {kind}: {kinds_in_words(kinds)}"
    yield from totals.lines(kind or "document", stopped=stopped)


def _described(record: dict[str, object], kind: str, encoding: str) -> str:
    """The first record in words."""
    return f"kind {kind} (layout {layout(record)}), encoding of the first file {encoding}, fields {sorted(record)}"


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"
