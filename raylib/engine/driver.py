"""Run a recipe: plan shards, let workers process them, commit, resolve global stages, report.

Guarantees: every record is kept or rejected with a reason; a run that was killed at any moment and
is started again continues with the missing shards and gives byte-identical files; the output does
not depend on the number of workers; a shard that keeps failing is quarantined and named.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from raylib.engine.closing import input_of
from raylib.engine.executor import Executor, InlineExecutor
from raylib.engine.faults import FULL_VOLUME, Failure, full_volume
from raylib.engine.fingerprints import FORMAT, digest, stage_identity
from raylib.engine.planning import check_stages, default_batch_mb
from raylib.engine.progress import Progress, RunResult
from raylib.engine.ray_executor import RayExecutor
from raylib.engine.shuffles import KEY_SPACE, Shuffle
from raylib.engine.sketches import sketches_of
from raylib.engine.tasks import Job, ResolveTask, ShardTask, Task, segments_of
from raylib.errors import RecipeError, ShardError, SourceError
from raylib.reading.block import ReadOptions
from raylib.reading.layouts import guess_kind
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import first_record
from raylib.reading.sources import SourceFile, find_files
from raylib.reading.units import Piece, Unit, plan
from raylib.recipe import Recipe, StageSpec
from raylib.report.books import check_books, gather
from raylib.report.statistics import summed_splits
from raylib.stage import GlobalStage, Round, Section, adapted, rounds_of
from raylib.storage.folder import start_store
from raylib.storage.layouts import FitsLayout
from raylib.storage.manifest import Manifest
from raylib.versions import versions

__all__ = ["run"]


def run(
    recipe: Recipe, *, fresh: bool = False, limit: int | None = None, progress: Progress | None = None
) -> RunResult:
    """Run a recipe; continue an earlier run of it in the same output folder.

    Args:
        recipe: Input, output, engine options and stages.
        fresh: Delete the output of an earlier run first.
        limit: Number of records to read, in one task. None reads all.
        progress: Callbacks for phases and finished shards.

    Returns:
        The output folder and the content of `summary.json`.

    Raises:
        RecipeError: Before any work, if the recipe is wrong; later, if a stage needs a column that does not exist.
        SourceError: Before any work, if the input cannot be found or opened.
        ShardError: At the end, after the report, if shards were quarantined; at once, if the output volume is full.
    """
    try:
        return _Run(recipe, fresh=fresh, limit=limit, progress=progress or Progress()).execute()
    except OSError as error:
        if error.errno not in FULL_VOLUME:
            raise
        raise full_volume(recipe.output.path, str(error)) from error


@dataclass
class _Run:
    recipe: Recipe
    fresh: bool
    limit: int | None
    progress: Progress
    failures: list[Failure] = field(default_factory=list)
    entries: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    resolved: dict[int, Shuffle] = field(default_factory=dict)
    notes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    phase_seconds: dict[str, float] = field(default_factory=dict)
    _consumed: dict[str, int] = field(default_factory=dict)

    def execute(self) -> RunResult:
        started = time.perf_counter()
        recipe = self.recipe
        stages = recipe.stages
        if recipe.output.format == "jsonl" and recipe.output.layout:
            stages = (*stages, StageSpec("layout", object=FitsLayout(recipe.output.layout)))
        check_stages(stages)
        segments = segments_of(stages)
        files, skipped = find_files(recipe.input.path)
        self._check_output_is_no_input(files)
        self.store = start_store(recipe.output.path, fresh=self.fresh)
        self.store.remove_temporaries()
        self.read = self._read_options(sum(f.size for f in files))
        self.units = self._plan(files)
        kind = recipe.input.kind if recipe.input.kind != "auto" else self._guess_kind()
        text = recipe.input.text
        self.job = Job(
            root=recipe.output.path if "://" in recipe.output.path else os.path.abspath(recipe.output.path),
            kind=kind,
            segments=segments,
            read=self.read,
            text_fields=(text,) if isinstance(text, str) else tuple(text or ()),
            default_source=recipe.input.source,
            output_format=recipe.output.format,
            layout=recipe.output.layout,
            seed=recipe.engine.seed,
            samples=recipe.output.samples,
            tokenizer=recipe.output.tokenizer,
            split_by=recipe.output.split_by,
            name=recipe.name,
        )
        self.chain = self._chain_keys()
        self.manifest = Manifest(self.store)
        self.store.write("recipe.yaml", recipe.to_yaml().encode())
        plan = {"bytes": sum(f.size for f in files), "segments": [" + ".join(s.labels) for s in segments]}
        self.manifest.append({"run": self.chain[-1], "started": time.time(), "versions": versions(), **plan})
        executor: Executor
        if recipe.engine.mode == "inline":
            executor = InlineExecutor(self.job, recipe.engine)
        else:
            self.progress.message("starting Ray")
            executor = RayExecutor(self.job, recipe.engine)
        with ExitStack() as stack:
            stack.callback(executor.wait_closed)
            try:
                executor.total_bytes = sum(u.bytes for u in self.units)
                executor.start()
                for number in range(len(segments)):
                    self._run_segment(executor, number)
                done = time.perf_counter()
            finally:
                executor.close()
            summary = self._summary(started, executor, done, skipped, kind)
            self._finish(summary)
        return RunResult(recipe.output.path, summary)

    # ---- planning -----------------------------------------------------------------------------

    def _read_options(self, input_bytes: int) -> ReadOptions:
        options = self.recipe.input
        batch_mb = self.recipe.engine.batch_mb or default_batch_mb(input_bytes)
        return ReadOptions(
            encoding=options.encoding,
            block_bytes=max(1, int(batch_mb * (1 << 20))),
            max_record_bytes=int(options.max_record_mb * (1 << 20)),
            max_expansion=options.max_expansion,
            document_per=options.document_per,
        )

    def _plan(self, files: list[SourceFile]) -> list[Unit]:
        if self.limit is not None:
            return [Unit(0, tuple(Piece(f) for f in files))]
        return list(plan(files, self.read.block_bytes))

    def _guess_kind(self) -> str:
        for unit in self.units[:20]:
            for piece in unit.pieces[:20]:
                block = next(blocks_of(piece, ReadOptions(encoding=self.read.encoding, block_bytes=1 << 16)), None)
                record = first_record(block) if block is not None else None
                if record is not None:
                    return guess_kind(record)
        return "document"

    def _check_output_is_no_input(self, files: list[SourceFile]) -> None:
        out = self.recipe.output.path
        if "://" in out:
            return
        root = os.path.abspath(out) + os.sep
        inside = next((f.path for f in files if os.path.abspath(f.path).startswith(root)), None)
        if inside:
            raise RecipeError(f"output.path {out!r} holds the input file {inside}; choose another folder")

    def _chain_keys(self) -> list[str]:
        """One fingerprint a segment of everything but the data that determines its output."""
        job, recipe = self.job, self.recipe
        key = digest(
            FORMAT, versions()["raylib"], job.kind, job.text_fields, job.default_source, asdict(job.read), self.limit,
            recipe.engine.seed, recipe.output.samples,
        )  # fmt: skip
        keys = []
        for i, segment in enumerate(job.segments):
            stages = [stage_identity(s) for s in (segment.apply, *segment.local, segment.sketch)]
            last = i == len(job.segments) - 1
            tail = [job.output_format, job.layout, job.tokenizer, job.split_by] if last else []
            key = digest(key, stages, tail)
            keys.append(key)
        return keys

    # ---- segments -----------------------------------------------------------------------------

    def _run_segment(self, executor: Executor, number: int) -> None:
        segment = self.job.segments[number]
        phase = f"s{number}"
        self.entries[phase] = {}
        total = sum(u.bytes for u in self.units)
        title = " + ".join(segment.labels)
        if segment.sketch is None and number < len(self.job.segments) - 1:
            self.resolved[number] = Shuffle(number, (), "", 0)
        shards = None if number == 0 else len(self.entries[f"s{number - 1}"])
        self.progress.phase(_short(title) or "read", total if number == 0 else 0, shards)
        tasks = self._first_tasks(executor) if number == 0 else self._next_tasks(number)
        self._commit(phase, executor.run(tasks, model=segment.model_based))
        if number == 0:
            self._check_not_empty()
        if segment.sketch is not None:
            self._resolve(executor, number)

    def _commit(self, phase: str, results: Iterator[tuple[Task, dict[str, Any] | Failure]]) -> None:
        begun = time.perf_counter()
        self._take(phase, results)
        self.phase_seconds[phase] = round(time.perf_counter() - begun, 3)

    def _take(self, phase: str, results: Iterator[tuple[Task, dict[str, Any] | Failure]]) -> None:
        done = self.entries.setdefault(phase, {})
        for task, result in results:
            if isinstance(result, Failure):
                if result.fatal:
                    raise RecipeError(result.error)
                if any(f"[Errno {code}]" in result.error for code in FULL_VOLUME) or "OutOfDiskError" in result.error:
                    raise full_volume(self.recipe.output.path, result.error)
                self.failures.append(result)
                self.progress.message(f"shard {task.shard} quarantined: {result.error}")
                continue
            self.manifest.append(result)
            done[task.shard] = result
            self._advance(result, resumed=False)

    def _resume(self, phase: str, shard: str, key: str) -> bool:
        entry = self.manifest.find(phase, shard, key)
        if entry is None:
            return False
        self.entries.setdefault(phase, {})[shard] = entry
        self._advance(entry, resumed=True)
        return True

    def _advance(self, entry: Mapping[str, Any], *, resumed: bool) -> None:
        done_bytes = 0
        if entry["phase"] == "s0":
            self._consumed[entry["shard"].split("-")[0]] = max(
                self._consumed.get(entry["shard"].split("-")[0], 0), entry.get("consumed", 0)
            )
            done_bytes = sum(self._consumed.values())
        self.progress.advance(entry, done_bytes, resumed=resumed)

    def _first_tasks(self, executor: Executor) -> Iterator[ShardTask]:
        streams: list[Iterator[ShardTask]] = []
        readers = 1 + getattr(executor, "actors", 1) // 16
        for unit in self.units:
            if not unit.streamed:
                yield from self._unit_task(unit)
                continue
            streams.append(self._stream_tasks(executor, unit))
            while len(streams) >= readers:  # several large files are read side by side on large clusters
                yield from self._one_of(streams)
        while streams:
            yield from self._one_of(streams)

    @staticmethod
    def _one_of(streams: list[Iterator[ShardTask]]) -> Iterator[ShardTask]:
        stream = streams.pop(0)
        task = next(stream, None)
        if task is not None:
            yield task
            streams.append(stream)

    def _unit_task(self, unit: Unit) -> Iterator[ShardTask]:
        shard = f"{unit.number:05d}"
        key = digest(self.chain[0], [asdict(p) for p in unit.pieces])
        if not self._resume("s0", shard, key):
            yield ShardTask(0, shard, key, pieces=unit.pieces, limit=self.limit)

    def _stream_tasks(self, executor: Executor, unit: Unit) -> Iterator[ShardTask]:
        piece = unit.pieces[0]
        identity = asdict(piece)
        whole = digest(self.chain[0], identity)
        finished = self.manifest.find("stream", f"{unit.number:05d}", whole)
        skip: set[int] = set()
        for number in range(finished["blocks"] if finished else 1 << 30):
            shard = f"{unit.number:05d}-{number:05d}"
            if not self._resume("s0", shard, digest(whole, number)):
                if finished is None and (("s0", shard) not in self.manifest.entries):
                    break  # nothing was committed from here on, or only out of order: looked up below
                continue
            skip.add(number)
        if finished is not None and len(skip) == finished["blocks"]:
            return
        # shards that were committed out of order, behind the first gap
        for phase, shard in list(self.manifest.entries):
            head, _, tail = shard.partition("-")
            if phase != "s0" or head != f"{unit.number:05d}" or not tail or int(tail) in skip:
                continue
            if self._resume("s0", shard, digest(whole, int(tail))):
                skip.add(int(tail))
        count = 0
        for number, block in enumerate(executor.blocks(piece, self.read, frozenset(skip))):
            count = number + 1
            if number not in skip:
                shard = f"{unit.number:05d}-{number:05d}"
                yield ShardTask(0, shard, digest(whole, number), block=block)
        self.manifest.append(
            {"phase": "stream", "shard": f"{unit.number:05d}", "key": whole, "files": {}, "blocks": count}
        )

    def _next_tasks(self, number: int) -> Iterator[ShardTask]:
        phase = f"s{number}"
        before = self.entries[f"s{number - 1}"]
        resolved = self.resolved[number - 1]
        for ordinal, shard in enumerate(sorted(before)):
            key = digest(self.chain[number], before[shard]["key"], resolved.key)
            if not self._resume(phase, shard, key):
                yield ShardTask(number, shard, key, verdicts=resolved.runs, shared=resolved.shared, ordinal=ordinal)

    def _resolve(self, executor: Executor, number: int) -> None:
        """The rounds of the global stage after a segment, each a shuffle by ranges of the key space."""
        spec = self.job.segments[number].sketch
        assert spec is not None
        before = self.entries[f"s{number}"]
        shuffle = Shuffle(
            number,
            shards=tuple(sorted(before)),
            key=digest(self.chain[number], sorted((s, e["key"]) for s, e in before.items())),
            bytes=sum(e.get("sketch_bytes", 0) for e in before.values()),
        )
        rounds = rounds_of(spec.make())
        notes: list[dict[str, Any]] = []
        for position, this in enumerate(rounds):
            repetition = 0
            while True:
                phase = f"r{number}.{position}.{repetition}"
                entries = self._run_round(executor, shuffle, this, position, phase, f"{spec.name}: {this.name}")
                notes += [e["notes"] for e in entries.values() if e["notes"]]
                if this.broadcast:
                    shuffle.share(entries)
                    break
                shuffle.advance(entries)
                if not (this.repeat and any(e["changed"] for e in entries.values())):
                    break
                repetition += 1
        self.resolved[number] = shuffle
        self.notes[spec.name] = notes

    def _run_round(
        self, executor: Executor, shuffle: Shuffle, this: Round, position: int, phase: str, title: str
    ) -> dict[str, dict[str, Any]]:
        """Partition the key space so that one task's rows fit the memory that was allowed, and do each part."""
        self.entries[phase] = {}
        allowed = int(self.recipe.engine.resolve_mb * (1 << 20) / 4)
        # small rounds are cut too, so that several workers share them; the cut never depends on how many there are
        parts = 1 if this.broadcast else max(-(-shuffle.bytes // allowed), min(4, shuffle.bytes // (1 << 20)), 1)
        self.progress.phase(title, 0, parts)

        def tasks() -> Iterator[ResolveTask]:
            for part in range(parts):
                shard, key = f"{part:05d}", digest(shuffle.key, position, parts, part)
                if not self._resume(phase, shard, key):
                    first, last = KEY_SPACE * part // parts, KEY_SPACE * (part + 1) // parts - 1
                    yield ResolveTask(
                        shuffle.segment, position, phase, shard, key, first, last,
                        shuffle.shards, shuffle.runs, shuffle.shared,
                    )  # fmt: skip

        self._commit(phase, executor.run(tasks()))
        broken = [f for f in self.failures if f.task.phase == phase]
        if broken:
            raise ShardError(f"{title}: {broken[0].error}; run again to continue")
        return dict(sorted(self.entries[phase].items()))

    def _check_not_empty(self) -> None:
        if self.failures or any(e["records_in"] for e in self.entries["s0"].values()):
            return
        raise SourceError(
            f"input.path {self.recipe.input.path!r} holds 0 records in {sum(len(u.pieces) for u in self.units)} files"
        )

    # ---- the end ------------------------------------------------------------------------------

    def _summary(
        self, started: float, executor: Executor, done: float, skipped: list[str], kind: str
    ) -> dict[str, Any]:
        counts, seconds, self.samples = gather(
            self.store, [self.entries[f"s{i}"] for i in range(len(self.job.segments))], self.recipe.output.samples
        )
        stage_names = dict.fromkeys(label for segment in self.job.segments for label in segment.labels)
        bytes_in = sum(e["bytes_in"] for e in self.entries["s0"].values())
        elapsed = time.perf_counter() - started
        stages = counts.get("stages", {})
        records_in = sum(e["records_in"] for e in self.entries["s0"].values())
        return {
            "name": self.recipe.name,
            "kind": kind,
            "fingerprint": digest(self.chain[-1], sorted((s, e["key"]) for s, e in self.entries["s0"].items())),
            "records_in": records_in,
            "records_kept": counts.get("records_kept", 0),
            "records_rejected": counts.get("records_rejected", 0),
            "characters_in": counts.get("characters_in", 0),
            "characters_kept": counts.get("characters_kept", 0),
            **({"tokens_kept": counts.get("tokens_kept", 0)} if self.job.tokenizer else {}),
            "records_added": counts.get("records_added", 0),
            "columns": counts.get("columns", {}),
            "notes": counts.get("notes", {}),
            **({"splits": summed_splits(counts.get("splits", {}))} if self.job.split_by else {}),
            "bytes_in": bytes_in,
            "seconds": round(elapsed, 3),
            "seconds_start": round(executor.ready_at - started, 3),
            "mb_while_starting": round(executor.bytes_before / 1e6, 3),
            "phases": self.phase_seconds,
            "mb_per_second": round((bytes_in - executor.bytes_before) / 1e6 / max(done - executor.ready_at, 1e-9), 3),
            "by_stage": {
                name: {**stages[name], "seconds": round(seconds.get(name, 0.0), 3)}
                for name in stage_names
                if name in stages
            },
            "by_reason": dict(sorted(counts.get("reasons", {}).items(), key=lambda kv: (-kv[1], kv[0]))),
            "by_source": dict(sorted(counts.get("sources", {}).items())),
            "histogram_in": counts.get("histogram_in", []),
            "histogram_kept": counts.get("histogram_kept", []),
            "shards": len(self.entries["s0"]),
            "quarantined": [
                {
                    "shard": f.task.shard,
                    "phase": f.task.phase,
                    "error": f.error,
                    "attempts": f.attempts,
                    "input": input_of(f.task, self.units),
                }
                for f in self.failures
            ],
            "skipped_files": skipped[:100],
            "skipped_file_count": len(skipped),
            "engine": self.recipe.engine.mode,
            "versions": versions(),
        }

    def _finish(self, summary: dict[str, Any]) -> None:
        from raylib.report.page import render_report

        names = {name for phase in self.entries.values() for e in phase.values() for name in e["files"]}
        last = len(self.job.segments) - 1
        for folder in ("kept", "rejected", ".work"):
            for name in self.store.names(folder):
                if name not in names:  # of an earlier recipe, or of a shard that was quarantined since
                    self.store.delete(name)
        check_books(summary, [self.entries[f"s{i}"] for i in range(last + 1)])
        self.store.write("samples.json", orjson.dumps(self.samples))
        self.store.write("summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
        if "splits" in summary:
            self.store.write("splits.json", orjson.dumps(summary["splits"], option=orjson.OPT_INDENT_2))
        sections = self._sections()
        if sections:
            self.store.write("sections.json", orjson.dumps(sections))
        page = render_report(summary, self.samples, self.recipe.to_yaml(), sections)
        self.store.write("report.html", page.encode())
        if not self.recipe.engine.keep_work:
            for number in range(last):
                for name in self.store.names(f".work/s{number}"):
                    if name.endswith(".arrow"):
                        self.store.delete(name)
        if self.failures:
            lost = ", ".join(f"{f.task.shard} ({f.error.splitlines()[-1][:200]})" for f in self.failures[:5])
            raise ShardError(
                f"{len(self.failures)} shards quarantined: {lost}. The rest is written; run again to retry them"
            )

    def _sections(self) -> dict[str, Any]:
        """The parts of the report that global stages make of the notes of their rounds."""
        sections = {}
        for number, shuffle in self.resolved.items():
            spec = self.job.segments[number].sketch
            if spec is None:
                continue
            stage = adapted(spec.make())
            assert isinstance(stage, GlobalStage)
            section = stage.section(self.notes[spec.name], sketches_of(self.store, number, shuffle.shards))
            if section is not None:
                sections[spec.name] = section.to_json() if isinstance(section, Section) else section
        return sections


def _short(title: str) -> str:
    return title if len(title) <= 40 else title[:37] + "..."
