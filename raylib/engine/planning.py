"""The plan of a run: files, units, segments and fingerprints, checked before any work."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from raylib.engine.fingerprints import chain_keys
from raylib.engine.tasks import Job, segments_of
from raylib.errors import RecipeError
from raylib.outputs import refuse_job_package
from raylib.paths import absolute
from raylib.reading.block import ReadOptions
from raylib.reading.filesystems import raw_size
from raylib.reading.found import Passed
from raylib.reading.kinds import first_kind, kinds_in_words, kinds_of
from raylib.reading.sources import SourceFile, find_files
from raylib.reading.units import Piece, Unit, plan
from raylib.recipe import InputOptions, Recipe, StageSpec
from raylib.stage import adapted
from raylib.storage.layouts import FitsLayout
from raylib.token_counts import check_tokenizer

__all__ = ["Plan", "make_plan"]

logger = logging.getLogger(__name__)

_LOOKED_AT = 20  # units, and pieces of each, in search of a first record


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before any work.

    Attributes:
        recipe: What to do.
        limit: Most records to read; None for all.
        units: The input, cut into units of work.
        input_bytes: Size of the input on disk.
        raw_bytes: About its size when it is decompressed.
        skipped: Files and folders that were passed over.
        job: What workers have to know.
        chain: Fingerprint of each segment.
    """

    recipe: Recipe
    limit: int | None
    units: tuple[Unit, ...]
    input_bytes: int
    raw_bytes: int
    skipped: tuple[Passed, ...]
    job: Job
    chain: tuple[str, ...]


def make_plan(recipe: Recipe, limit: int | None) -> Plan:
    """Plan a run.

    Args:
        recipe: What to do.
        limit: Read only the first `limit` records, in one task.

    Returns:
        The plan.

    Raises:
        RecipeError: a stage is wrong, or the output would be written over the input.
        SourceError: the input or the tokenizer cannot be found.
        OutputError: the output would be written where Ray deletes it.
    """
    stages = _stages(recipe)
    _check_stages(stages)
    if recipe.output.tokenizer:
        check_tokenizer(recipe.output.tokenizer, "output.tokenizer")
    if not recipe.output.path:
        raise RecipeError("output.path is empty: give the folder of the run")
    _check_not_inside(recipe.output.path, recipe.input.path)
    files, skipped = find_files(recipe.input.path)
    _check_output(recipe.output.path, files)
    input_bytes = sum(f.size for f in files)
    read = _read_options(recipe.input, recipe.engine.batch_mb or _default_batch_mb(input_bytes))
    units = tuple(plan(files, read.block_bytes)) if limit is None else (Unit(0, tuple(Piece(f) for f in files)),)
    job = _job(recipe, stages, units, read)
    if job.layout and job.kind not in ("conversation", "preference", "feedback"):
        raise RecipeError(f"output.layout: {job.layout!r} is for conversations and preferences, not for {job.kind}s")
    # fingerprints are those of the recipe as it is written, so that a run can be continued from another folder
    chain = chain_keys(job, limit)
    raw_bytes = sum(raw_size(f.path, f.size) for f in files)
    if recipe.input.kind == "auto":
        _warn_of_other_kinds(files, job.kind, read)
    return Plan(recipe, limit, units, input_bytes, raw_bytes, tuple(skipped), job.located(), chain)


def _stages(recipe: Recipe) -> tuple[StageSpec, ...]:
    """The stages of the recipe, and one that rejects what the layout of the output cannot hold."""
    layout = recipe.output.layout
    if recipe.output.format != "jsonl" or not layout:
        return recipe.stages
    return (*recipe.stages, StageSpec("layout", {"layout": layout}, object=FitsLayout(layout)))


def _check_stages(specs: Sequence[StageSpec]) -> None:
    """Let stages look for mistakes that can be seen before any work."""
    for spec in specs:
        _check_stage(spec)


def _check_stage(spec: StageSpec) -> None:
    try:
        adapted(spec.make()).check()
    except ValueError as error:
        raise RecipeError(f"stage {spec.name!r}: {error}") from None


def _check_output(output: str, files: Sequence[SourceFile]) -> None:
    if "://" in output:
        return
    refuse_job_package(output, "output.path")
    root = os.path.realpath(absolute(output)) + os.sep
    folders = {f.location: os.path.dirname(f.location) for f in files if "://" not in f.location}
    real = {folder: os.path.realpath(folder) + os.sep for folder in set(folders.values())}
    inside = next((f.path for f in files if f.location in folders and real[folders[f.location]].startswith(root)), None)
    if inside:
        raise RecipeError(f"output.path {output!r} holds the input file {inside}; choose another folder")


def _check_not_inside(output: str, inputs: str | Sequence[str]) -> None:
    """Refuse an output inside a folder of the input, of which it would be a part the next time."""
    for path in [inputs] if isinstance(inputs, str) else inputs:
        if "://" in path or "://" in output or not os.path.isdir(absolute(path)):
            continue
        if (absolute(output) + os.sep).startswith(absolute(path).rstrip(os.sep) + os.sep):
            raise RecipeError(
                f"output.path {output!r} lies inside the input folder {path!r}; choose another folder, or name the "
                f"files of the input, such as {path.rstrip('/')}/*.jsonl"
            )


def _default_batch_mb(input_bytes: int) -> float:
    """4 or 8: small inputs in small pieces that spread evenly, large ones in fewer files.

    Steps rather than a smooth curve, so that one more file does not change how the others are cut.
    """
    return 4.0 if input_bytes < 256 << 20 else 8.0


def _read_options(options: InputOptions, batch_mb: float) -> ReadOptions:
    return ReadOptions(
        encoding=options.encoding,
        block_bytes=max(1, int(batch_mb * (1 << 20))),
        max_record_bytes=int(options.max_record_mb * (1 << 20)),
        max_expansion=options.max_expansion,
        document_per=options.document_per,
    )


def _job(recipe: Recipe, stages: tuple[StageSpec, ...], units: Sequence[Unit], read: ReadOptions) -> Job:
    given, output = recipe.input, recipe.output
    return Job(
        root=absolute(output.path),
        kind=_guess_kind(units, read) if given.kind == "auto" else given.kind,
        segments=segments_of(stages),
        read=read,
        text_fields=(given.text,) if isinstance(given.text, str) else tuple(given.text or ()),
        default_source=given.source,
        output_format=output.format,
        layout=output.layout,
        seed=recipe.engine.seed,
        samples=output.samples,
        tokenizer=output.tokenizer,
        split_by=output.split_by,
        name=recipe.name,
    )


def _guess_kind(units: Sequence[Unit], read: ReadOptions) -> str:
    """The kind of the first record that can be read."""
    for unit in units[:_LOOKED_AT]:
        for piece in unit.pieces[:_LOOKED_AT]:
            kind = first_kind(piece, ReadOptions(encoding=read.encoding))
            if kind is not None:
                return kind
    return "document"


def _warn_of_other_kinds(files: list[SourceFile], kind: str, read: ReadOptions) -> None:
    """Say so if files, of which some are looked at, seem to hold records of another kind than the first ones."""
    looked_at = files[:: max(1, len(files) // _LOOKED_AT)][:_LOOKED_AT] + files[-1:]
    kinds = kinds_of(dict.fromkeys(looked_at), ReadOptions(encoding=read.encoding))
    if kinds.keys() - {kind}:
        logger.warning(
            "the first records are of kind %s and all are read as such, but files seem to differ: %s; give input.kind, "
            "or one run to each kind (`raylib inspect` shows the kinds of all files)",
            kind,
            kinds_in_words(kinds),
        )
