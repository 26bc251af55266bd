"""Look at data sets and runs: `raylib inspect` and `raylib diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape

from raylib.errors import RecipeError, SourceError
from raylib.layouts import guess_kind, layout
from raylib.parsing import first_record, parse
from raylib.readers import ReadOptions, blocks_of
from raylib.recipe import Recipe
from raylib.schema import SCHEMAS, text_of
from raylib.shards import Store
from raylib.sources import Piece, find_files
from raylib.stage import GlobalStage, nearest
from raylib.tasks import is_model_based, stage_labels

__all__ = ["inspect_path", "trace_run"]


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


def trace_run(out: str, *, rule: str = "", samples: int = 3) -> Iterator[str]:
    """Lines (rich markup) that show, stage by stage, what changed in the sampled records of a run.

    The samples are run through the recipe again, one stage at a time; global stages are passed over.
    """
    store = Store(out)
    if not (store.exists("samples.json") and store.exists("recipe.yaml")):
        raise SourceError(f"{out!r} is no finished run (no samples.json)")
    recipe = Recipe.from_text(store.read("recipe.yaml").decode(), f"{out}/recipe.yaml")
    held = orjson.loads(store.read("samples.json"))
    labels = stage_labels(recipe.stages)
    if rule and rule not in labels:
        raise RecipeError(f"--rule {rule!r}: the run has no such stage{nearest(rule, labels)}")
    rows = [s for s in (*held["kept"], *held["rejected"]) if s.get("stage") != "read"]
    table = pa.table(
        {
            "id": pa.array([r["id"] for r in rows], pa.string()),
            "text": pa.array([r["before"] for r in rows], pa.large_string()),
            "source": pa.array([r["source"] for r in rows], pa.string()),
            "meta": pa.nulls(len(rows), pa.large_string()),
        }
    )
    yield f"{len(rows)} sampled records of {out}"
    for label, spec in zip(labels, recipe.stages, strict=True):
        stage = spec.make()
        if isinstance(stage, GlobalStage):
            if not rule or rule == label:
                yield f"[bold]{label}[/]: looks at all records; see rejected/ and the report"
            continue
        if is_model_based(stage):
            if not rule or rule == label:
                yield f"[bold]{label}[/]: loads a model; see the columns in kept/ and the report"
            continue
        try:
            outcome = stage(table)
        except ValueError as error:  # it needs columns of a stage that was passed over
            if not rule or rule == label:
                yield f"[bold]{label}[/]: not traced: {escape(str(error))}"
            continue
        if not rule or rule == label:
            yield from _describe_stage(label, table, outcome.kept, outcome.rejected, samples)
        table = outcome.kept


def _describe_stage(label: str, before: pa.Table, kept: pa.Table, rejected: pa.Table, samples: int) -> Iterator[str]:
    old = dict(zip(before["id"].to_pylist(), before["text"].to_pylist(), strict=True))
    changed = [
        (i, old[i], new)
        for i, new in zip(kept["id"].to_pylist(), kept["text"].to_pylist(), strict=True)
        if old[i] != new
    ]
    yield f"[bold]{label}[/]: {len(before)} in, {len(changed)} changed, {len(rejected)} rejected"
    for identifier, was, now in changed[:samples]:
        yield f"  [dim]{escape(identifier)}[/]"
        for line in _changes(was, now):
            yield f"    {line}"
    for row in rejected.slice(0, samples).to_pylist():
        yield f"  [dim]{escape(row['id'])}[/] [red]{escape(row['reason'])}[/]: {escape(row['detail'] or '')}"
        yield f"    {escape(row['text'][:120])}"


def _changes(before: str, after: str, context: int = 12, most: int = 5) -> Iterator[str]:
    """The first changes of a text, each with a little context."""
    from rapidfuzz.distance import Indel

    operations: list[Any] = list(Indel.opcodes(before, after))
    merged: list[list[int]] = []
    for op in operations:
        if op.tag == "equal":
            continue
        if merged and op.src_start - merged[-1][1] <= 2:
            merged[-1][1], merged[-1][3] = op.src_end, op.dest_end
        else:
            merged.append([op.src_start, op.src_end, op.dest_start, op.dest_end])
    for shown, (a, b, c, d) in enumerate(merged):
        if shown == most:
            yield f"… and {len(merged) - most} more changes"
            return
        removed, added = _cut(before[a:b]), _cut(after[c:d])
        yield (
            escape(before[max(0, a - context) : a])
            + (f"[red]{{-{escape(removed)}-}}[/]" if removed else "")
            + (f"[green]{{+{escape(added)}+}}[/]" if added else "")
            + escape(before[b : b + context])
        ).replace("\n", "↵")


def _cut(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…({len(text)})…{text[-most // 2 :]}"
