"""Run a recipe: plan shards, let workers process them, commit, resolve global stages, report.

Guarantees: every record is kept or rejected with a reason; a run that was killed at any moment and is started again
continues with the missing shards and gives byte-identical files; the output does not depend on the number of workers;
a shard that keeps failing is quarantined and named.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack

from raylib.checksums import checksum
from raylib.cluster.metrics import RunMetrics
from raylib.engine.closing import Clock, finish
from raylib.engine.earlier import check_earlier, is_finished
from raylib.engine.executor import Executor, InlineExecutor
from raylib.engine.faults import Fault, end_of_run
from raylib.engine.feed import first_tasks, next_tasks
from raylib.engine.fingerprints import FORMAT
from raylib.engine.ledger import Ledger
from raylib.engine.places import needed_paths, output_path
from raylib.engine.planning import Plan, make_plan
from raylib.engine.probing import probe
from raylib.engine.progress import Progress, RunResult
from raylib.engine.ray_executor import RayExecutor
from raylib.engine.shuffles import Shuffle, no_shuffle, shuffle_after
from raylib.engine.space import check_space
from raylib.errors import SourceError, WrongTypeError
from raylib.locking import Lock
from raylib.paths import absolute
from raylib.recipe import Recipe
from raylib.storage.entry import RunHeader
from raylib.storage.folder import clear_store, open_store, unused_removed
from raylib.storage.locks import locked_output
from raylib.storage.names import Phase, RunFiles
from raylib.storage.store import Store
from raylib.storage.summary import Summary
from raylib.versions import versions

__all__ = ["run"]

logger = logging.getLogger(__name__)


def run(
    recipe: Recipe,
    *,
    fresh: bool = False,
    update: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Run a recipe; continue an earlier run of it in the same output folder.

    Args:
        recipe: Input, output, engine options and stages.
        fresh: Delete the output of an earlier run first.
        update: Redo what another plan changes in a folder that holds an earlier run, and reuse the rest.
        limit: Number of records to read, in one task. None reads all.
        progress: Callbacks for phases and finished shards.

    Returns:
        The output folder and the content of `summary.json`.

    Raises:
        WrongTypeError: If it is given something else than a recipe.
        OutputError: Before any work, if the output folder cannot be written to.
        RecipeError: Before any work, if the recipe is wrong, or if the output folder holds a run of another plan and
            neither `fresh` nor `update` is given; later, if a stage needs a column that does not exist.
        SourceError: Before any work, if the input cannot be found or opened, or if the output folder holds something
            else; after the first segment, if the input holds no records.
        QuarantineError: At the end, after the report, if shards were quarantined.
        ShardError: Before any work, if the output's volume has too little room; later, at once, if it is full.
        EndpointError: If a service that a stage asks does not answer or refuses every question: before any work, or as
            soon as a worker meets it. What was committed is kept.
        LockedError: Before any work, if another process is writing to the output folder.
        RaylibError: If no worker can be set up.
        OSError: If the output cannot be written for another reason than a full volume.
    """
    _check_recipe(recipe)
    metrics = RunMetrics(recipe.name, absolute(recipe.output.path))
    with metrics.watch():
        try:
            result = _run(recipe, fresh, update, limit, progress or Progress(), metrics)
        except OSError as error:
            end = end_of_run(Fault.of(error), recipe.output.path)
            if end is None:
                raise
            raise end from error
    nothing_kept = result.facts.records_in and not result.facts.records_kept
    metrics.ended("nothing_kept" if nothing_kept else "complete")
    return result


def _check_recipe(recipe: object) -> None:
    """Raise an error for a path or a mapping in place of a recipe."""
    if not isinstance(recipe, Recipe):
        example = f"{recipe!r}" if isinstance(recipe, str) else "'recipe.yaml'"
        raise WrongTypeError(f"run() takes a recipe, not {type(recipe).__name__}: run(Recipe.from_file({example}))")


def _run(
    recipe: Recipe, fresh: bool, update: bool, limit: int | None, progress: Progress, metrics: RunMetrics
) -> RunResult:
    started = time.perf_counter()
    plan = make_plan(recipe, limit)
    store = open_store(recipe.output.path)
    with unused_removed(store), locked_output(store, recipe.output.path) as lock:
        ledger, executor = _asked(plan, store, lock, progress, metrics, fresh=fresh, update=update)
        needs = check_space(plan, ledger.bytes_there)
        if needs:
            progress.message(needs)
        _begin(plan, store, ledger)
        return RunResult(recipe.output.path, _work(plan, store, ledger, executor, progress, started))


def _asked(
    plan: Plan, store: Store, lock: Lock, progress: Progress, metrics: RunMetrics, *, fresh: bool, update: bool
) -> tuple[Ledger, Executor]:
    """Ask services and nodes before any work, and with `fresh` delete an earlier run after that.

    Returns:
        Finished tasks, and what does the others.
    """
    if fresh:
        probe(plan)
        executor = _joined_executor(plan, progress)
        lock.check()
        clear_store(store)
        store.remove_temporaries()
        return Ledger(store, plan.recipe, progress, lock, metrics), executor
    store.remove_temporaries()
    ledger = Ledger(store, plan.recipe, progress, lock, metrics)
    if not update:
        check_earlier(store, ledger.earlier, plan)
    if not is_finished(store, ledger.earlier, plan):
        probe(plan)
    return ledger, _joined_executor(plan, progress)


def _work(plan: Plan, store: Store, ledger: Ledger, executor: Executor, progress: Progress, started: float) -> Summary:
    """Do all segments and shuffles, and finish.

    Args:
        plan: The run.
        store: Its folder, which is locked.
        ledger: Finished tasks.
        executor: Does the tasks.
        progress: Callbacks for phases.
        started: When the run began, by `time.perf_counter`.

    Returns:
        The numbers of the run.
    """
    with ExitStack() as stack:
        stack.callback(executor.wait_closed)
        try:
            executor.start(sum(unit.bytes for unit in plan.units))
            shuffles: list[Shuffle] = []
            for number in range(len(plan.job.segments)):
                before = shuffles[-1] if shuffles else no_shuffle(0)
                shuffles.append(_run_segment(plan, ledger, executor, progress, number, before))
            done = time.perf_counter()
        finally:
            executor.close()
        return finish(plan, store, ledger, executor, shuffles, Clock(started, done))


def _joined_executor(plan: Plan, progress: Progress) -> Executor:
    """What does the tasks; on a cluster that runs already, every node has been asked whether it sees the files."""
    if plan.recipe.engine.mode == "inline":
        return InlineExecutor(plan.job, plan.recipe.engine)
    progress.message("starting Ray")
    executor = RayExecutor(plan.job, plan.recipe.engine)
    executor.join(needed_paths(plan), output_path(plan))
    return executor


def _begin(plan: Plan, store: Store, ledger: Ledger) -> None:
    """Write the header of the manifest, by which the folder is known as that of a run, and the resolved recipe."""
    logger.info("%s: %d units, %d segments", plan.recipe.name, len(plan.units), len(plan.job.segments))
    titles = tuple(segment.title for segment in plan.job.segments)
    made_by = {**versions(), "format": str(FORMAT)}
    recipe = plan.recipe.to_yaml().encode()
    ledger.start(RunHeader(plan.chain[-1], time.time(), made_by, plan.input_bytes, titles, checksum(recipe)))
    store.write(RunFiles.RECIPE, recipe)


def _run_segment(
    plan: Plan, ledger: Ledger, executor: Executor, progress: Progress, number: int, before: Shuffle
) -> Shuffle:
    """Do a segment, and the rounds of the global stage after it.

    Args:
        plan: The run.
        ledger: Finished tasks.
        executor: Does tasks.
        progress: Callbacks for phases.
        number: Number of the segment.
        before: State after the segment before.

    Returns:
        The state after this one.
    """
    segment = plan.job.segments[number]
    title = _short(segment.title) or "read"
    if number == 0:
        progress.phase(title, sum(unit.bytes for unit in plan.units), None)
        tasks = first_tasks(plan, ledger, executor)
    else:
        progress.phase(title, 0, len(ledger.shards(number - 1)))
        tasks = next_tasks(plan, ledger, number, before)
    ledger.commit(Phase.segment(number), executor.run(tasks, model=segment.model_based))
    if number == 0:
        _check_not_empty(plan, ledger)
    return shuffle_after(plan, ledger, executor, progress, number)


def _check_not_empty(plan: Plan, ledger: Ledger) -> None:
    if ledger.failures or any(e.records_in for e in ledger.shards(0).values()):
        return
    files = sum(len(unit.pieces) for unit in plan.units)
    raise SourceError(f"input.path {plan.recipe.input.path!r} holds 0 records in {files} files")


def _short(title: str) -> str:
    return title if len(title) <= 40 else title[:37] + "..."
