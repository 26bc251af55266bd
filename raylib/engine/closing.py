"""The end of a run: summary, report, clean-up."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from raylib.checksums import checksum
from raylib.engine.executor import Executor
from raylib.engine.faults import Failure
from raylib.engine.fingerprints import digest
from raylib.engine.ledger import Ledger
from raylib.engine.planning import Plan
from raylib.engine.shuffles import Shuffle
from raylib.engine.sketches import sketches_of
from raylib.engine.tasks import ResolveTask, Task
from raylib.errors import QuarantineError
from raylib.reading.found import by_reason
from raylib.reading.units import Unit
from raylib.recipe import StageSpec
from raylib.report.books import Books, check_books, gather
from raylib.report.counts import FolderTotals, SplitCounts, largest_sources
from raylib.report.page import render_report
from raylib.report.statistics import summed_splits
from raylib.stage import GlobalStage, Section, adapted
from raylib.storage.entry import RunEnd
from raylib.storage.kept import MOST_VALUES
from raylib.storage.names import Phase, RunFiles
from raylib.storage.store import Store
from raylib.storage.summary import Quarantined, StageTotals, Summary
from raylib.versions import versions

__all__ = ["Clock", "finish"]

_log = logging.getLogger(__name__)


_MOST_FILES = 100  # that were skipped, by name
_MOST_SOURCES = 1000  # that are counted one by one
_MOST_NAMED = 20  # for each reason of being skipped, by name
_MOST_INPUTS = 10  # of a quarantined shard, by name


@dataclass(frozen=True)
class Clock:
    """Moments of a run, by `time.perf_counter`.

    Attributes:
        started: When it began.
        done: When the last segment ended.
    """

    started: float
    done: float


def finish(
    plan: Plan, store: Store, ledger: Ledger, executor: Executor, shuffles: Sequence[Shuffle], clock: Clock
) -> Summary:
    """Check the books, write summary and report, and delete files that are not needed any more.

    Args:
        plan: The run.
        store: Its folder.
        ledger: Finished and failed tasks.
        executor: Says when its workers were ready.
        shuffles: State after each segment.
        clock: Moments of the run.

    Returns:
        The numbers of the run.

    Raises:
        QuarantineError: shards were quarantined.
        ShardError: the books do not balance.
    """
    entries = [ledger.shards(number) for number in range(len(plan.job.segments))]
    books = gather(store, entries, plan.recipe.output.samples)
    sections = _sections(plan, store, shuffles)
    seconds = _seconds(plan, ledger, books, sections)
    summary = _summary(plan, ledger, executor, books, seconds, clock)
    ledger.check_lock()  # what follows deletes and replaces files
    _delete_strangers(store, ledger.files())
    check_books(summary, entries)
    ledger.check_lock()
    end = _write_report(plan, store, summary, books, {s.stage: s.content for s in sections if s.content is not None})
    ledger.finish(replace(end, work=plan.recipe.engine.keep_work))
    if not plan.recipe.engine.keep_work:
        _delete_work(store, plan.job.last)
    _raise_for(ledger.failures, summary.records_kept)
    return summary


def _summary(
    plan: Plan,
    ledger: Ledger,
    executor: Executor,
    books: Books,
    seconds: Mapping[str, float],
    clock: Clock,
) -> Summary:
    counts, first = books.counts, ledger.shards(0)
    bytes_in = sum(e.bytes_in for e in first.values())
    working = max(clock.done - executor.ready_at, 1e-9)
    done_before = ledger.bytes_before + executor.bytes_before
    return Summary(
        name=plan.recipe.name,
        kind=plan.job.kind,
        fingerprint=digest(plan.chain[-1], sorted((str(s), e.key) for s, e in first.items())),
        records_in=sum(e.records_in for e in first.values()),
        records_kept=counts.get("records_kept", 0),
        records_rejected=counts.get("records_rejected", 0),
        characters_in=counts.get("characters_in", 0),
        characters_kept=counts.get("characters_kept", 0),
        tokens_kept=counts.get("tokens_kept", 0) if plan.job.tokenizer else None,
        records_added=counts.get("records_added", 0),
        columns=counts.get("columns", {}),
        notes=counts.get("notes", {}),
        splits=_splits(plan, counts.get("splits", {})),
        bytes_in=bytes_in,
        seconds=round(time.perf_counter() - clock.started, 3),
        seconds_start=round(executor.ready_at - clock.started, 3),
        mb_while_starting=round(executor.bytes_before / 1e6, 3),
        phases={str(phase): seconds for phase, seconds in ledger.seconds.items()},
        mb_per_second=round(max(bytes_in - done_before, 0) / 1e6 / working, 3),
        by_stage=_by_stage(plan, books, seconds),
        by_reason=dict(sorted(counts.get("reasons", {}).items(), key=lambda kv: (-kv[1], kv[0]))),
        by_source=dict(sorted(largest_sources(counts.get("sources", {}), _MOST_SOURCES).items())),
        histogram_in=counts.get("histogram_in", []),
        histogram_kept=counts.get("histogram_kept", []),
        shards=len(first),
        quarantined=[_quarantined(failure, plan.units) for failure in ledger.failures],
        skipped_files=[p.path for p in plan.skipped[:_MOST_FILES]],
        skipped_file_count=len(plan.skipped),
        skipped=by_reason(plan.skipped, _MOST_NAMED),
        engine=plan.recipe.engine.mode,
        versions=versions(),
    )


def _splits(plan: Plan, counts: Mapping[str, SplitCounts]) -> dict[str, FolderTotals] | None:
    """Counts of each folder of a split output; warns of more than a shard of its own may have."""
    if not plan.job.split_by:
        return None
    if len(counts) > MOST_VALUES:
        _log.warning(
            "output.split_by: column %r has %s values over all shards, and each is a folder; a shard may have %s, so "
            "that the same records in other files may end the run",
            plan.job.split_by,
            f"{len(counts):,}",
            MOST_VALUES,
        )
    return summed_splits(counts)


def _seconds(plan: Plan, ledger: Ledger, books: Books, sections: Sequence[_MadeSection]) -> dict[str, float]:
    """Seconds by stage: in shards, in the rounds of global stages, and for their parts of the report."""
    seconds = dict(books.seconds)
    for number, label in enumerate(plan.job.global_labels):
        if label:
            seconds[label] = seconds.get(label, 0.0) + ledger.round_seconds(number) + sections[number].seconds
    return seconds


def _by_stage(plan: Plan, books: Books, seconds: Mapping[str, float]) -> dict[str, StageTotals]:
    """Totals of the stages that saw records, in the order of the recipe."""
    stages = books.counts.get("stages", {})
    labels = dict.fromkeys(label for segment in plan.job.segments for label in segment.labels)
    return {
        label: StageTotals.from_json({**stages[label], "seconds": round(seconds.get(label, 0.0), 3)})
        for label in labels
        if label in stages
    }


def _quarantined(failure: Failure, units: Sequence[Unit]) -> Quarantined:
    task = failure.task
    return Quarantined(str(task.shard), str(task.phase), failure.error, failure.attempts, _input_of(task, units))


def _input_of(task: Task, units: Sequence[Unit]) -> list[str]:
    """Paths of the files that a shard holds records of."""
    if isinstance(task, ResolveTask):
        return []
    unit = next((u for u in units if u.number == task.shard.unit), None)
    return [p.file.path for p in unit.pieces[:_MOST_INPUTS]] if unit else []


def _delete_strangers(store: Store, ours: set[str]) -> None:
    """Delete files of an earlier recipe, and of shards that were quarantined since."""
    for folder in RunFiles.FOLDERS:
        for name in store.names(folder):
            if name not in ours:
                store.delete(name)


def _write_report(
    plan: Plan, store: Store, summary: Summary, books: Books, sections: Mapping[str, Mapping[str, object]]
) -> RunEnd:
    """Write summary and report; returns the line of the manifest that names these files."""
    page = render_report(summary, books.samples, plan.recipe.to_yaml(), sections, books.decisions)
    indented = orjson.OPT_INDENT_2
    files = {
        RunFiles.SAMPLES: orjson.dumps(books.samples),
        RunFiles.DECISIONS: orjson.dumps(books.decisions),
        RunFiles.SUMMARY: orjson.dumps(summary.to_json(), option=indented),
        **({} if summary.splits is None else {RunFiles.SPLITS: orjson.dumps(summary.splits, option=indented)}),
        **({RunFiles.SECTIONS: orjson.dumps(sections)} if sections else {}),
        RunFiles.REPORT: page.encode(),
    }
    for name, data in files.items():
        store.write(name, data)
    sizes = {name: len(data) for name, data in files.items()}
    return RunEnd(plan.chain[-1], sizes, {name: checksum(data) for name, data in files.items()})


@dataclass(frozen=True)
class _MadeSection:
    """The part of the report that a global stage makes: its content, if any, and how long that took."""

    stage: str = ""
    content: Mapping[str, object] | None = None
    seconds: float = 0.0


def _sections(plan: Plan, store: Store, shuffles: Sequence[Shuffle]) -> list[_MadeSection]:
    """What the global stage after each segment makes of the notes of its rounds."""
    return [
        _section(segment.sketch, store, shuffle) for segment, shuffle in zip(plan.job.segments, shuffles, strict=True)
    ]


def _section(spec: StageSpec | None, store: Store, shuffle: Shuffle) -> _MadeSection:
    begun = time.perf_counter()
    stage = None if spec is None else adapted(spec.make())
    if spec is None or not isinstance(stage, GlobalStage):
        return _MadeSection()
    section = stage.section(shuffle.notes, sketches_of(store, shuffle.segment, shuffle.shards))
    content = None if section is None else _section_json(section)
    return _MadeSection(spec.name, content, time.perf_counter() - begun)


def _section_json(section: Section | Mapping[str, object]) -> Mapping[str, object]:
    """The section as the template reads it; a stage of another package may give it in this form."""
    return section.to_json() if isinstance(section, Section) else section


def _delete_work(store: Store, last: int) -> None:
    """Delete records in work, sketches and facts; a run that is continued makes them again."""
    for number in range(last):
        for name in store.names(RunFiles.work(Phase.segment(number))):
            if name.endswith(".arrow"):
                store.delete(name)


def _raise_for(failures: Sequence[Failure], records_kept: int) -> None:
    if not failures:
        return
    lost = ", ".join(f"{f.task.shard} ({f.error.splitlines()[-1][:200]})" for f in failures[:5])
    message = f"{len(failures)} shards quarantined: {lost}. The rest is written; run again to retry them"
    raise QuarantineError(message, records_kept)
