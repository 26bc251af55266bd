"""Look at data sets and runs: `raylib inspect` and `raylib diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import SourceError
from raylib.reading.block import ReadOptions
from raylib.reading.layouts import guess_kind, layout
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import first_record, parse
from raylib.reading.sources import find_files
from raylib.reading.units import Piece
from raylib.schema import SCHEMAS, text_of
from raylib.storage.store import Store

__all__ = ["inspect_path"]


def inspect_path(path: str, *, samples: int = 3, encoding: str = "auto", limit: int | None = None) -> Iterator[str]:
    """Lines that describe a data set: files, kind, schema, counts, sources, lengths, flaws, samples."""
    store = Store(path)
    if store.exists("manifest.jsonl") and store.exists("summary.json"):
        summary = orjson.loads(store.read("summary.json"))
        yield f"a run of recipe {summary['name']!r}: {summary['records_in']:,} records in"
        yield f"kept {summary['records_kept']:,}, rejected {summary['records_rejected']:,}, report {path}/report.html"
        path = f"{path}/kept"
    files, skipped = find_files(path)
    options = ReadOptions(encoding=encoding, block_bytes=4 << 20)
    yield f"{len(files)} files, {sum(f.size for f in files):,} bytes on disk" + (
        f", {len(skipped)} with unknown extensions passed over" if skipped else ""
    )
    kind = ""
    counts: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    lengths: list[pa.Array] = []
    shown: list[str] = []
    for file in files:
        for block in blocks_of(Piece(file), options):
            if not kind and (record := first_record(block)) is not None:
                kind = guess_kind(record)
                yield f"kind {kind} (layout {layout(record)}), encoding of the first file {block.encoding}, fields {sorted(record)}"
            for parsed in parse(block, kind or "document"):
                counts["records"] += len(parsed.table)
                counts["unreadable"] += len(parsed.rejects)
                for row in pc.value_counts(parsed.table["source"]).to_pylist():
                    sources[row["values"]] += row["counts"]
                reasons.update(parsed.rejects["reason"].to_pylist())
                texts = text_of(parsed.table)
                lengths.append(pc.utf8_length(texts))
                for text in texts.slice(0, max(samples - len(shown), 0)).to_pylist():
                    shown.append(text)
            if limit is not None and counts["records"] >= limit:
                break
        if limit is not None and counts["records"] >= limit:
            break
    if not counts["records"] and not counts["unreadable"]:
        raise SourceError(f"{path!r} holds 0 records in {len(files)} files")
    yield f"{counts['records']:,} records, {counts['unreadable']:,} unreadable" + (
        " (stopped at the limit)" if limit else ""
    )
    for reason, count in reasons.most_common():
        yield f"  unreadable: {reason} {count:,}"
    yield "schema: " + ", ".join(f"{f.name}: {f.type}" for f in SCHEMAS[kind or "document"])
    if counts["records"]:
        every = pa.chunked_array(lengths)
        quantiles = pc.quantile(every, [0, 0.1, 0.5, 0.9, 1]).to_pylist()
        yield "characters: min {:,.0f}, 10 % {:,.0f}, median {:,.0f}, 90 % {:,.0f}, max {:,.0f}".format(*quantiles)
        for source, count in sources.most_common(20):
            yield f"  source {source or '(none)'}: {count:,}"
    for text in shown:
        yield f"--- {text[:400]}{'…' if len(text) > 400 else ''}"
