"""Run a recipe: plan shards, let workers process them, commit, resolve global stages, report.

Guarantees: every record is kept or rejected with a reason; a run that was killed at any moment and is started again
continues with the missing shards and gives byte-identical files; the output does not depend on the number of workers;
a shard that keeps failing is quarantined and named.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack

from raylib.engine.closing import Clock, finish
from raylib.engine.earlier import check_earlier
from raylib.engine.executor import Executor, InlineExecutor
from raylib.engine.faults import Fault, end_of_run
from raylib.engine.feed import first_tasks, next_tasks
from raylib.engine.ledger import Ledger
from raylib.engine.places import needed_paths, output_path
from raylib.engine.planning import Plan, make_plan
from raylib.engine.progress import Progress, RunResult
from raylib.engine.ray_executor import RayExecutor
from raylib.engine.shuffles import Shuffle, no_shuffle, shuffle_after
from raylib.engine.space import check_space
from raylib.errors import SourceError
from raylib.recipe import Recipe
from raylib.storage.entry import RunHeader
from raylib.storage.folder import start_store
from raylib.storage.names import Phase, RunFiles
from raylib.storage.store import Store
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
        RecipeError: Before any work, if the recipe is wrong, or if the output folder holds a run of another plan and
            neither `fresh` nor `update` is given; later, if a stage needs a column that does not exist.
        SourceError: Before any work, if the input cannot be found or opened, or if the output folder holds something
            else; after the first segment, if the input holds no records.
        ShardError: Before any work, if the output's volume has too little room; at the end, after the report, if
            shards were quarantined; at once, if the output volume is full.
        RaylibError: If no worker can be set up.
        OSError: If the output cannot be written for another reason than a full volume.
    """
    try:
        return _run(recipe, fresh, update, limit, progress or Progress())
    except OSError as error:
        end = end_of_run(Fault.of(error), recipe.output.path)
        if end is None:
            raise
        raise end from error


def _run(recipe: Recipe, fresh: bool, update: bool, limit: int | None, progress: Progress) -> RunResult:
    started = time.perf_counter()
    plan = make_plan(recipe, limit)
    executor = _joined_executor(plan, progress)
    store = start_store(recipe.output.path, fresh=fresh)
    store.remove_temporaries()
    ledger = Ledger(store, recipe.output.path, progress)
    if not update:
        check_earlier(store, ledger.earlier, plan)
    needs = check_space(plan, ledger.bytes_there)
    if needs:
        progress.message(needs)
    _begin(plan, store, ledger)
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
        summary = finish(plan, store, ledger, executor, shuffles, Clock(started, done))
    return RunResult(recipe.output.path, summary)


def _joined_executor(plan: Plan, progress: Progress) -> Executor:
    """What does the tasks; on a cluster that runs already, every node has been asked whether it sees the files."""
    if plan.recipe.engine.mode == "inline":
        return InlineExecutor(plan.job, plan.recipe.engine)
    progress.message("starting Ray")
    executor = RayExecutor(plan.job, plan.recipe.engine)
    executor.join(needed_paths(plan), output_path(plan))
    return executor


def _begin(plan: Plan, store: Store, ledger: Ledger) -> None:
    """Write the header of the manifest and the resolved recipe."""
    logger.info("%s: %d units, %d segments", plan.recipe.name, len(plan.units), len(plan.job.segments))
    titles = tuple(segment.title for segment in plan.job.segments)
    ledger.start(RunHeader(plan.chain[-1], time.time(), versions(), plan.input_bytes, titles))
    store.write(RunFiles.RECIPE, plan.recipe.to_yaml().encode())


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
