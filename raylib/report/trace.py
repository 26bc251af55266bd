"""What each stage of a run did to its sampled records: `raylib diff`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from rich.markup import escape

from raylib.errors import RecipeError, SourceError, nearest
from raylib.recipe import Recipe
from raylib.recipe.stages import stage_labels
from raylib.report.edits import changes
from raylib.report.samples import Samples
from raylib.stage import GlobalStage
from raylib.stage.resolving import AnyStage, adapted, is_model_based
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

__all__ = ["trace_run"]


_CONTEXT = 12  # characters shown on each side of a change
_MOST_CHANGES = 5  # of a text
_MOST_CHARACTERS = 80  # of a change


def trace_run(out: str, *, rule: str = "", samples: int = 3) -> Iterator[str]:
    """Show, stage by stage, what changed in the sampled records of a run.

    The samples go through the recipe again, one stage at a time. Stages that look at all records or load a model are
    skipped.

    Args:
        out: Output folder of a finished run.
        rule: Label of the only stage to show. Empty for all stages.
        samples: Number of changed, and of rejected, texts to show of each stage.

    Yields:
        Lines of rich markup.

    Raises:
        SourceError: the folder does not hold a finished run.
        RecipeError: the recipe has no stage `rule`.
    """
    store = Store(out)
    if not (store.exists(RunFiles.SAMPLES) and store.exists(RunFiles.RECIPE)):
        raise SourceError(f"{out!r} is not the folder of a finished run: it has no {RunFiles.SAMPLES}")
    recipe = Recipe.from_text(store.read(RunFiles.RECIPE).decode(), f"{out}/{RunFiles.RECIPE}")
    labels = stage_labels(recipe.stages)
    if rule and rule not in labels:
        raise RecipeError(f"--rule {rule!r}: the run has no such stage{nearest(rule, labels)}")
    table = _sampled(store.read_json(RunFiles.SAMPLES, Samples))
    yield f"{len(table)} sampled records of {out}"
    for label, spec in zip(labels, recipe.stages, strict=True):
        lines, table = _traced(label, adapted(spec.make()), table, samples)
        if not rule or rule == label:
            yield from lines


def _sampled(samples: Samples) -> pa.Table:
    """The samples as they were read, without those that could not be read."""
    kept = [(s["id"], s["before"], s["source"]) for s in samples["kept"]]
    rejected = [(s["id"], s["before"], s["source"]) for s in samples["rejected"] if s["stage"] != "read"]
    rows = [*kept, *rejected]
    return pa.table(
        {
            "id": pa.array([identifier for identifier, _, _ in rows], pa.string()),
            "text": pa.array([text for _, text, _ in rows], pa.large_string()),
            "source": pa.array([source for _, _, source in rows], pa.string()),
            "meta": pa.nulls(len(rows), pa.large_string()),
        }
    )


def _traced(label: str, stage: AnyStage, table: pa.Table, samples: int) -> tuple[Sequence[str], pa.Table]:
    """What a stage did to a table, in words, and what it kept."""
    if isinstance(stage, GlobalStage):
        return [f"[bold]{label}[/]: looks at all records; see rejected/ and the report"], table
    if is_model_based(stage):
        return [f"[bold]{label}[/]: loads a model; see the columns in kept/ and the report"], table
    try:
        outcome = stage(table)
    except ValueError as error:  # it needs columns of a stage that was skipped
        return [f"[bold]{label}[/]: not traced: {escape(str(error))}"], table
    return list(_described(label, table, outcome.kept, outcome.rejected, samples)), outcome.kept


def _described(label: str, before: pa.Table, kept: pa.Table, rejected: pa.Table, samples: int) -> Iterator[str]:
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


def _changes(before: str, after: str) -> Iterator[str]:
    """The first changes of a text, each with a little context."""
    found = changes(before, after)
    for begin, end, new_begin, new_end in found[:_MOST_CHANGES]:
        removed, added = _cut(before[begin:end]), _cut(after[new_begin:new_end])
        yield (
            escape(before[max(0, begin - _CONTEXT) : begin])
            + (f"[red]{{-{escape(removed)}-}}[/]" if removed else "")
            + (f"[green]{{+{escape(added)}+}}[/]" if added else "")
            + escape(before[end : end + _CONTEXT])
        ).replace("\n", "↵")
    if len(found) > _MOST_CHANGES:
        yield f"… and {len(found) - _MOST_CHANGES} more changes"


def _cut(text: str) -> str:
    half = _MOST_CHARACTERS // 2
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:half]}…({len(text)})…{text[-half:]}"
