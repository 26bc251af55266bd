"""What each stage of a run did to one record: `raylib inspect` with a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
from rich.markup import escape

from raylib.errors import RecipeError, SourceError, nearest
from raylib.recipe import Recipe
from raylib.recipe.stages import stage_labels
from raylib.stage import GlobalStage
from raylib.stage.resolving import is_model_based
from raylib.storage.store import Store

__all__ = ["trace_run"]


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
